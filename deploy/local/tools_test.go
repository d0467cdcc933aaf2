package main

import (
	"strings"
	"testing"
)

func TestJavaVersionsAreRead(t *testing.T) {
	tests := []struct {
		output string
		major  int
		ok     bool
	}{
		{"openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime", 17, true},
		{"java version \"1.8.0_392\"", 8, true},
		{"openjdk version \"21\" 2023-09-19", 21, true},
		{"sh: java: not found", 0, false},
	}
	for _, test := range tests {
		if major, ok := javaMajor(test.output); major != test.major || ok != test.ok {
			t.Errorf("%q: got %d %v", test.output, major, ok)
		}
	}
}

func TestValkeyVersionsAreRead(t *testing.T) {
	for output, want := range map[string]int{
		"Valkey server v=8.0.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64": 8,
		"Valkey server v=10.2.0 sha=0":                                       10,
		"Redis server: something else":                                       0,
	} {
		if got := valkeyMajor(output); got != want {
			t.Errorf("%q: got %d", output, got)
		}
	}
}

func TestAMissingToolIsNamedWithItsRemedy(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, tool := range []string{"java", "mvn", "npm", "go"} {
		err := checkTools(t.Context(), []string{tool})
		if err == nil || !strings.HasPrefix(err.Error(), tool+" is not on the PATH: install") {
			t.Errorf("%s: got %v", tool, err)
		}
	}
}

func TestTheTellingLineOfAToolIsFound(t *testing.T) {
	tests := map[string]string{
		"npm warn old\nnpm error code ECONNREFUSED\nnpm error errno": "npm error code ECONNREFUSED",
		"Reading lists\nE: Unable to locate package valkey-server\n": "E: Unable to locate package valkey-server",
		"one\ntwo\nthree\n": "three",
	}
	for output, want := range tests {
		if got := tellingLine(output); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := tellingLine(strings.Repeat("é", toolLineMax)); len(got) > toolLineMax+len("…") {
		t.Errorf("a long line stays %d characters long", len(got))
	}
}

func TestBackportsComeFromTheMachinesOwnMirror(t *testing.T) {
	stanza := "Types: deb deb-src\n# a remark\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n" +
		"Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
	want := "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm-backports\nComponents: main\n" +
		"Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
	if got, ok := backportsStanza(stanza, "bookworm"); !ok || got != want {
		t.Errorf("got %v:\n%s", ok, got)
	}
	if _, ok := backportsStanza("Suites: bookworm-security\n", "bookworm"); ok {
		t.Error("the security suite has no backports")
	}
	list := "# deb cdrom\ndeb http://mirror.example/debian bookworm main contrib\n"
	if got, ok := backportsOfList(list, "bookworm"); !ok || !strings.Contains(got, "URIs: http://mirror.example/debian\n") {
		t.Errorf("got %v:\n%s", ok, got)
	}
}

func TestThePortsHolderIsFoundInTheKernelsTable(t *testing.T) {
	table := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
		"   0: 0100007F:2384 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0\n" +
		"   1: 0100007F:2384 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0\n"
	if got := listenerInodes(table, 9092); len(got) != 1 || got[0] != "4242" {
		t.Errorf("got %v", got)
	}
}
