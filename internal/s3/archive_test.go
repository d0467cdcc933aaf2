package s3

import (
	"errors"
	"testing"
	"time"

	"clickledger/internal/click"
	"clickledger/internal/stacktest"
)

func openLake(t *testing.T) *Lake {
	t.Helper()
	lake, err := Open(stacktest.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	stacktest.Cleanup(t, "bucket", lake.Drop)
	if _, err := lake.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return lake
}

func manifestOf(text string) click.Manifest {
	w, err := click.ParseWindow(text)
	if err != nil {
		panic(err)
	}
	return click.Manifest{Version: click.ManifestVersion, Topic: "clicks", TopicID: "id", Window: w, End: click.ArchiveEnd(w)}
}

func TestAManifestIsWrittenOnceAndNeverChanged(t *testing.T) {
	lake, m := openLake(t), manifestOf("2026-11-23T10:05Z")
	if _, err := lake.Manifest(t.Context(), m.Window); !errors.Is(err, click.ErrNotFound) {
		t.Errorf("a manifest that is not there: %v", err)
	}
	for range 2 { // again with the same content is success
		if err := lake.PublishManifest(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	other := m
	other.TopicID = "another"
	if err := lake.PublishManifest(t.Context(), other); !errors.Is(err, click.ErrOtherManifest) {
		t.Errorf("another content: %v", err)
	}
	if got, err := lake.Manifest(t.Context(), m.Window); err != nil || got.TopicID != "id" {
		t.Errorf("the manifest is %+v, %v", got, err)
	}
}

func TestTheLastManifestIsTheNewestWindows(t *testing.T) {
	lake := openLake(t)
	if _, err := lake.LastManifest(t.Context()); !errors.Is(err, click.ErrNotFound) {
		t.Errorf("no manifest: %v", err)
	}
	for _, text := range []string{"2026-11-23T23:55Z", "2026-11-24T00:00Z", "2026-11-24T10:05Z", "2026-11-24T09:00Z"} {
		if err := lake.PublishManifest(t.Context(), manifestOf(text)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := lake.LastManifest(t.Context())
	if err != nil || got.Window.String() != "2026-11-24T10:05Z" || !got.End.Equal(time.Date(2026, 11, 24, 10, 10, 0, 0, time.UTC)) {
		t.Errorf("the last is %s, %v", got.Window, err)
	}
}

func TestAnObjectIsCheckedBySizeAndChecksum(t *testing.T) {
	lake := openLake(t)
	o := click.LakeObject{Path: "clicks/dt=2026-11-23/hour=10/clicks-0-0-9.parquet", Bytes: 7}
	if err := lake.CheckObject(t.Context(), o); !errors.Is(err, click.ErrNotFound) {
		t.Errorf("an object that is not there: %v", err)
	}
	var err error
	if o.SHA256, err = lake.PutObject(t.Context(), o.Path, []byte("content")); err != nil {
		t.Fatal(err)
	}
	if err := lake.CheckObject(t.Context(), o); err != nil {
		t.Error(err)
	}
	if _, err := lake.PutObject(t.Context(), o.Path, []byte("CONTENT")); err != nil {
		t.Fatal(err)
	}
	if err := lake.CheckObject(t.Context(), o); err == nil {
		t.Error("another content of the same size was not noticed")
	}
}
