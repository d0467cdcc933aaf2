package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

const minioVersion = "v0.0.0-20260212201848-7aac2a2c5b7c"

func minioService() service {
	return service{
		name: "minio", what: "MinIO: the lake (S3)", group: server,
		addrs:    []string{minioAddr, minioConsoleAddr},
		installs: []string{"minio"},
		command: func(at site) []string {
			return []string{
				at.tool(minioFolder, "minio"), "server", "--quiet", "--address", minioAddr, "--console-address", minioConsoleAddr,
				at.data("minio"),
			}
		},
		environment: func(at site) []string {
			return []string{
				"MINIO_ROOT_USER=" + at.settings["CLICKLEDGER_S3_ACCESS_KEY"],
				"MINIO_ROOT_PASSWORD=" + at.settings["CLICKLEDGER_S3_SECRET_KEY"],
				"MINIO_UPDATE=off",
			}
		},
		ready: func(ctx context.Context, _ site) error {
			return httpReady(ctx, "http://"+minioAddr+"/minio/health/live")
		},
		yields:      true,
		stopTimeout: 10 * time.Second,
	}
}

// httpReady is nil when a GET of the URL is answered with 200.
func httpReady(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	request.Close = true // a probe must not keep a stopping server waiting
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", response.Status)
	}
	return nil
}
