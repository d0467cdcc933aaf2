package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestATableBecomesFilesOfSoManyRows(t *testing.T) {
	for _, one := range []struct {
		rows int
		want []int // rows of each file
	}{{0, nil}, {1, []int{1}}, {3, []int{3}}, {4, []int{3, 1}}, {6, []int{3, 3}}, {7, []int{3, 3, 1}}} {
		source := NewExportSource(func(_ context.Context, visit func(int) error) error {
			for i := range one.rows {
				if err := visit(i); err != nil {
					return err
				}
			}
			return nil
		}, func(rows []int) ([]byte, error) { return fmt.Append(nil, rows), nil })
		var files []int
		var content string
		err := source(t.Context(), 3, func() {}, func(file []byte, rows int) error {
			files, content = append(files, rows), content+string(file)
			return nil
		})
		if err != nil || !slices.Equal(files, one.want) {
			t.Errorf("%d rows: files of %v rows, %v", one.rows, files, err)
		}
		if one.rows == 7 && content != "[0 1 2][3 4 5][6]" {
			t.Errorf("7 rows: %s", content)
		}
	}
}

func TestASourceEndsWithTheFirstFault(t *testing.T) {
	fault, visited := errors.New("disk full"), 0
	source := NewExportSource(func(_ context.Context, visit func(int) error) error {
		for i := range 100 {
			visited++
			if err := visit(i); err != nil {
				return err
			}
		}
		return nil
	}, func([]int) ([]byte, error) { return nil, nil })
	err := source(t.Context(), 10, func() {}, func([]byte, int) error { return fault })
	if !errors.Is(err, fault) || visited != 10 {
		t.Errorf("it ended after %d rows with %v", visited, err)
	}
}
