package operations

import (
	"strings"
	"testing"
)

func TestAnOutputIsComparedButForWhatDiffers(t *testing.T) {
	for _, one := range []struct {
		expect, output string
		want           bool
	}{
		{"a\n", "a\n", true},
		{"a\n", "b\n", false},
		{"a\n", "a\nb\n", false},
		{"a\n", "x\na\n", false},
		{"a b\n", "  a \t b\n\n", true},
		{"a … c\n", "a long way to c\n", true},
		{"a … c\n", "a\nc\n", false},
		{"…\nb\n", "b\n", true},
		{"…\nb\n…\n", "a\na\nb\nc\n", true},
		{"…\nb\n…\n", "a\nc\n", false},
		{"…\nb\n…\nb\n", "a\nb\n", false},
		{"1+1=2 (…)\n", "1+1=2 (so)\n", true},
		{"1+1=2\n", "11=2\n", false},
	} {
		b := block{expects: true, expect: one.expect}
		if err := b.check(one.output); (err == nil) != one.want {
			t.Errorf("%q for %q: %v", one.output, one.expect, err)
		}
	}
}

func TestBlocksAreReadInOrderWithWhatTheyPrint(t *testing.T) {
	blocks, err := readBlocks("# T\n\n```sh\none\n```\n\n## H\n\n<!-- test: lose it -->\n\n```sh\ntwo\nthree\n```\n\ntext\n\n```text\nout\n```\n")
	if err != nil || len(blocks) != 2 {
		t.Fatalf("%+v, %v", blocks, err)
	}
	if b := blocks[1]; b.heading != "H" || b.before != "lose it" || b.script != "two\nthree\n" || b.expect != "out\n" || b.line != 12 || blocks[0].expects {
		t.Errorf("blocks are %+v", blocks)
	}
	for _, wrong := range []string{"```sh\nno end\n", "```text\nof nothing\n```\n", "```go\npackage x\n```\n"} {
		if _, err := readBlocks(wrong); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}
