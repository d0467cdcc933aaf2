package workflows

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// readInput decodes what an operator typed, whole or not at all: a field that
// is not known is a fault, for a mistyped "dry_run" must not become a real run.
// The fault is returned as words, not as an error: an input that cannot be
// decoded would show as the library's error, this one the workflow can tell.
func readInput(text []byte, into any) (fault string) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Sprintf("the input cannot be read: %v", err)
	}
	return ""
}
