// Package operations runs docs/operations.md word for word.
package operations

import (
	"fmt"
	"regexp"
	"strings"
)

// anything is what stands in an expected output for what differs: in a line for
// any text, alone in a line for any lines.
const anything = "…"

// block is a fenced block of commands, and what they are to print.
type block struct {
	line    int    // of its first command
	heading string // it stands under
	before  string // what the test does before it: <!-- test: … -->
	script  string
	expects bool // an output is given
	expect  string
}

// fence is the language of a fence's first line; ok is false for other lines.
func fence(line string) (language string, ok bool) {
	return strings.CutPrefix(line, "```")
}

// readBlocks finds the blocks of a document, in order. A text block right behind
// a block of commands is what it prints.
func readBlocks(document string) ([]block, error) {
	var blocks []block
	lines := strings.Split(document, "\n")
	heading, before := "", ""
	for i := 0; i < len(lines); i++ {
		if title, ok := strings.CutPrefix(lines[i], "## "); ok {
			heading = title
		}
		if order, ok := strings.CutPrefix(lines[i], "<!-- test: "); ok {
			before = strings.TrimSuffix(order, " -->")
		}
		language, ok := fence(lines[i])
		if !ok {
			continue
		}
		first := i + 1
		for i++; i < len(lines) && lines[i] != "```"; i++ {
		}
		if i == len(lines) {
			return nil, fmt.Errorf("line %d: the block has no end", first)
		}
		content := strings.Join(lines[first:i], "\n") + "\n"
		switch language {
		case "sh":
			blocks = append(blocks, block{line: first + 1, heading: heading, before: before, script: content})
			before = ""
		case "text":
			last := len(blocks) - 1
			if last < 0 || blocks[last].expects || blocks[last].heading != heading {
				return nil, fmt.Errorf("line %d: it is the output of no commands", first)
			}
			blocks[last].expects, blocks[last].expect = true, content
		default:
			return nil, fmt.Errorf("line %d: a block of %q: there are sh and text", first, language)
		}
	}
	return blocks, nil
}

var spaces = regexp.MustCompile(`[ \t]+`)

// normal is a text without what does not matter: how much space there is
// between words, and around the text.
func normal(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(spaces.ReplaceAllString(line, " "))
	}
	return strings.Join(lines, "\n")
}

// pattern is the expression that an output has to match.
func pattern(expect string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString(`\A`)
	for _, line := range strings.Split(normal(expect), "\n") {
		if line == anything {
			b.WriteString(`(?:.*\n)*?`)
			continue
		}
		parts := strings.Split(line, anything)
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		b.WriteString(strings.Join(parts, `.*`) + `\n`)
	}
	b.WriteString(`\z`)
	return regexp.Compile(b.String())
}

// check reports whether an output is not what a block is to print.
func (b *block) check(output string) error {
	if !b.expects {
		return nil
	}
	expression, err := pattern(b.expect)
	if err != nil {
		return err
	}
	if !expression.MatchString(normal(output) + "\n") {
		return fmt.Errorf("it printed\n%s\nwhich is not\n%s", output, b.expect)
	}
	return nil
}
