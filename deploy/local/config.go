package main

import (
	"bytes"
	"embed"
	"fmt"
	"text/template"
)

//go:embed config
var configTemplates embed.FS

// writeConfig renders a template into .local/etc under its own name.
func writeConfig(at site, name string, values map[string]any) error {
	return writeConfigAs(at, name, name, values)
}

// writeConfigAs renders a template into .local/etc, readable by its owner only: many hold a password.
func writeConfigAs(at site, name, as string, values map[string]any) error {
	parsed, err := template.New(name+".tmpl").Option("missingkey=error").ParseFS(configTemplates, "config/"+name+".tmpl")
	if err != nil {
		return fmt.Errorf("parse configuration: %w", err)
	}
	var rendered bytes.Buffer
	if err := parsed.Execute(&rendered, values); err != nil {
		return fmt.Errorf("render configuration: %w", err)
	}
	return writePrivate(at.path("etc", as), rendered.Bytes())
}
