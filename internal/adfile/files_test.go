package adfile

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"clickledger/internal/click"
	"clickledger/internal/parquet"
)

// memory is a bucket of one object.
type memory struct {
	content []byte
	fails   error // of every read
}

func (m memory) ReadAds(_ context.Context, _ click.AdFile, offset int64) (io.ReadCloser, error) {
	if offset >= int64(len(m.content)) && offset > 0 {
		return nil, errors.New("the range is not satisfiable")
	}
	return io.NopCloser(bytes.NewReader(m.content[offset:])), m.fails
}

func (m memory) AdsReaderAt(context.Context, click.AdFile) io.ReaderAt {
	if m.fails != nil {
		return failing{m.fails}
	}
	return bytes.NewReader(m.content)
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func fileOf(format click.AdFormat, content []byte) (*Files, click.AdFile) {
	return &Files{Objects: memory{content: content}}, click.AdFile{Path: "ads." + string(format), Format: format, Bytes: int64(len(content))}
}

func packed(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	writer := gzip.NewWriter(&b)
	if _, err := writer.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// readAll reads a file in parts of rowsMax rows, as an import does.
func readAll(t *testing.T, files *Files, file click.AdFile, rowsMax int) []click.AdRow {
	t.Helper()
	var rows []click.AdRow
	var from click.AdCursor
	for end := false; !end; {
		var err error
		from, end, err = files.Each(t.Context(), file, from, rowsMax, func(row click.AdRow) error { rows = append(rows, row); return nil })
		if err != nil {
			t.Fatal(err)
		}
		if from.Row != int64(len(rows)) {
			t.Fatalf("%d rows were read, the cursor says %d", len(rows), from.Row)
		}
	}
	return rows
}

const someText = "\uFEFFad_id,advertiser_id,name,landing_url,status\r\n" +
	"1,7,plain,https://example.com/1,ACTIVE\r\n" +
	"2,7,\"quoted, with \"\"marks\"\"\nand two lines\",https://example.com/2,PAUSED\n" +
	"\n" + // an empty line is no row
	"3,7,no status,https://example.com/3,\n" +
	"4,7,too few\n" +
	"5,7,wro\"ng,https://example.com/5,ACTIVE\n" +
	"6,7,näme,https://example.com/6,ACTIVE"

func TestACSVFileIsReadTheSameFromWhereverAPartBegins(t *testing.T) {
	whole := []click.AdRow{}
	for _, format := range []click.AdFormat{click.AdsCSV, click.AdsGzipCSV} {
		content := []byte(someText)
		if format == click.AdsGzipCSV {
			content = packed(t, someText)
		}
		files, file := fileOf(format, content)
		for rowsMax := 1; rowsMax <= 7; rowsMax++ {
			rows := readAll(t, files, file, rowsMax)
			if len(whole) == 0 {
				whole = rows
			}
			if !slices.Equal(rows, whole) {
				t.Errorf("%s, %d rows at a time: %+v, not %+v", format, rowsMax, rows, whole)
			}
		}
	}
	if len(whole) != 6 || whole[1].Ad.Name != "quoted, with \"marks\"\nand two lines" || whole[1].Ad.Status != click.AdPaused ||
		whole[2].Ad.Status != click.AdActive || whole[3].Fault != "it has 3 cells, not 5" || whole[4].Fault == "" || whole[5].Ad.Name != "näme" || whole[5].Row != 6 {
		t.Errorf("the rows are %+v", whole)
	}
}

func TestAFileThatEndsWhereAPartEndsIsRead(t *testing.T) {
	files, file := fileOf(click.AdsCSV, []byte("ad_id,advertiser_id,name,landing_url\n1,7,a,https://example.com/\n"))
	if rows := readAll(t, files, file, 1); len(rows) != 1 {
		t.Errorf("the rows are %+v", rows)
	}
}

func TestAFileOfTheWrongKindIsRefused(t *testing.T) {
	header := "ad_id,advertiser_id,name,landing_url\n"
	for name, one := range map[string]struct {
		format  click.AdFormat
		content string
		want    string
	}{
		"an empty one":             {click.AdsCSV, "", "it is empty"},
		"a wrong header":           {click.AdsCSV, "ad,advertiser\n", `a column "ad"`},
		"a quote that never ends":  {click.AdsCSV, header + "1,7,\"" + strings.Repeat("x\n", recordBytesMax), "a quote that is never closed"},
		"no gzip":                  {click.AdsGzipCSV, header, "csv.gz"},
		"no Parquet":               {click.AdsParquet, header, "as Parquet"},
		"an empty one for Parquet": {click.AdsParquet, "", "as Parquet"},
	} {
		files, file := fileOf(one.format, []byte(one.content))
		_, _, err := files.Each(t.Context(), file, click.AdCursor{}, 10, func(click.AdRow) error { return nil })
		if !errors.Is(err, click.ErrBadFile) || !strings.Contains(err.Error(), one.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAStoreThatDoesNotAnswerIsNotTheFilesFault(t *testing.T) {
	away := fmt.Errorf("get: %w", click.ErrUnavailable)
	files := &Files{Objects: memory{fails: away}}
	for _, format := range []click.AdFormat{click.AdsCSV, click.AdsParquet} {
		_, err := files.Rows(t.Context(), click.AdFile{Format: format, Bytes: 100})
		if !errors.Is(err, click.ErrUnavailable) || errors.Is(err, click.ErrBadFile) {
			t.Errorf("%s: %v", format, err)
		}
	}
}

func TestAParquetFileIsReadTheSameFromWhereverAPartBegins(t *testing.T) {
	var ads []click.Ad
	for i := range 5000 {
		ads = append(ads, click.Ad{ID: int64(i + 1), AdvertiserID: 7, Name: fmt.Sprint("näme ", i), LandingURL: "https://example.com/", Status: click.AdPaused, FanOut: 1})
	}
	var content bytes.Buffer
	if err := parquet.WriteImport(&content, slices.Values(ads)); err != nil {
		t.Fatal(err)
	}
	files, file := fileOf(click.AdsParquet, content.Bytes())
	if n, err := files.Rows(t.Context(), file); err != nil || n != 5000 {
		t.Fatalf("%d rows, %v", n, err)
	}
	for _, rowsMax := range []int{999, 1000, 5000, 10_000} {
		for i, row := range readAll(t, files, file, rowsMax) {
			if row.Ad != ads[i] || row.Row != int64(i+1) || row.Fault != "" {
				t.Fatalf("%d at a time: row %d is %+v, want %+v", rowsMax, i+1, row, ads[i])
			}
		}
	}
}
