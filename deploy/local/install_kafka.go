package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// kafkaPom asks for the broker, and for what lets it write logs: it brings log4j but nothing that binds its own logging to it.
const kafkaPom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>clickledger</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>` + kafkaVersion + `</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.25.4</version>
    </dependency>
  </dependencies>
</project>
`

// fetchKafka lets Maven copy the broker and everything it depends on into libs.
func fetchKafka(ctx context.Context, into string) error {
	pom := filepath.Join(into, "pom.xml")
	if err := os.WriteFile(pom, []byte(kafkaPom), 0o600); err != nil {
		return fmt.Errorf("write pom: %w", err)
	}
	_, err := runTool(ctx, into, nil, "mvn", "-q", "-B", "-Dstyle.color=never", "-f", pom,
		"org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies",
		"-DoutputDirectory="+filepath.Join(into, "libs"), "-DincludeScope=runtime")
	if err != nil {
		return fmt.Errorf("fetch its packages: %w; check the network and Maven's settings, then run this again", err)
	}
	return nil
}
