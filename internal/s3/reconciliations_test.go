package s3

import (
	"fmt"
	"testing"
	"time"

	"clickledger/internal/click"
)

func TestTheManifestsOfADayAreListedInOrder(t *testing.T) {
	lake := openLake(t)
	for _, text := range []string{"2026-11-24T00:00Z", "2026-11-23T23:55Z", "2026-11-24T10:05Z", "2026-11-24T09:00Z"} {
		if err := lake.PublishManifest(t.Context(), manifestOf(text)); err != nil {
			t.Fatal(err)
		}
	}
	for day, want := range map[string]string{
		"2026-11-24": "[2026-11-24T00:00Z 2026-11-24T09:00Z 2026-11-24T10:05Z]", "2026-11-23": "[2026-11-23T23:55Z]", "2026-11-22": "[]",
	} {
		at, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := lake.ManifestsOf(t.Context(), at); err != nil || fmt.Sprint(got) != want {
			t.Errorf("of %s: %v, %v; want %s", day, got, err, want)
		}
	}
}

func TestAReportIsWrittenOverByTheNextOfItsRun(t *testing.T) {
	lake := openLake(t)
	path := click.ReconciliationPath(manifestOf("2026-11-24T10:05Z").Window, "run")
	for _, content := range []string{`{"waits":true}`, `{}`} {
		if err := lake.PutReport(t.Context(), path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := lake.read(t.Context(), path, 1<<10); err != nil || string(got) != content {
			t.Errorf("it is %s, %v", got, err)
		}
	}
}
