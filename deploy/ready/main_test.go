package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestItTellsReadyFromNotReadyAndFromNotThere(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"kafka":"does not answer"}`))
	}))
	if err := ask(t.Context(), server.URL); err != nil {
		t.Errorf("it is ready, and is told to be: %v", err)
	}
	status = http.StatusServiceUnavailable
	if err := ask(t.Context(), server.URL); err == nil || !strings.Contains(err.Error(), "kafka") {
		t.Errorf("it is not ready, and is told to be: %v", err)
	}
	server.Close()
	if err := ask(t.Context(), server.URL); err == nil {
		t.Error("nobody is there, and it is told to be ready")
	}
}
