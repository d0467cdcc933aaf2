package main

import (
	"os"
	"strings"
	"testing"

	"clickledger/internal/config"
)

func TestFirstStartMakesSettingsOnlyTheOwnerMayRead(t *testing.T) {
	at := testFolder(t)
	path := at.envFile()
	known, err := ensureSettings(at)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %o, want 600", info.Mode().Perm())
	}
	if _, err := config.LoadFrom(known); err != nil {
		t.Errorf("the programs refuse the settings: %v", err)
	}
}

func TestEverySettingIsOneTheProgramsKnow(t *testing.T) {
	help := config.Help()
	for _, v := range singleStack().variables() {
		if v.name != gatewaysVariable && !strings.Contains(help, v.name+" ") {
			t.Errorf("no program reads %s", v.name)
		}
	}
}

func TestSettingsStayAsTheyAre(t *testing.T) {
	at := testFolder(t)
	path := at.envFile()
	if _, err := ensureSettings(at); err != nil {
		t.Fatal(err)
	}
	first, _ := os.ReadFile(path)
	if _, err := ensureSettings(at); err != nil {
		t.Fatal(err)
	}
	second, _ := os.ReadFile(path)
	if string(first) != string(second) {
		t.Error("a second start changed the settings")
	}
}

func TestAnOlderFileGetsWhatItLacksAndKeepsTheRest(t *testing.T) {
	at := testFolder(t)
	path := at.envFile()
	old := "# mine\nCLICKLEDGER_ADMIN_KEY=chosen-by-a-person\nCLICKLEDGER_EXTRA=1" // no newline at the end
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	known, err := ensureSettings(at)
	if err != nil {
		t.Fatal(err)
	}
	content, _ := os.ReadFile(path)
	if !strings.HasPrefix(string(content), old+"\n") {
		t.Errorf("the old lines were touched")
	}
	for _, v := range singleStack().variables() {
		if known[v.name] == "" {
			t.Errorf("%s is missing", v.name)
		}
	}
	if known["CLICKLEDGER_ADMIN_KEY"] != "chosen-by-a-person" || known["CLICKLEDGER_EXTRA"] != "1" {
		t.Error("a value was replaced")
	}
}

func TestAFaultInTheSettingsNamesItsLineAndNoSecret(t *testing.T) {
	_, err := parseSettings([]byte("A=1\nsecret-without-a-name\n"))
	if err == nil || !strings.Contains(err.Error(), "line 2") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestTheEnvironmentOfAChildHasNoOtherSettings(t *testing.T) {
	t.Setenv("CLICKLEDGER_STRAY", "1")
	environment := settings{"CLICKLEDGER_ADMIN_KEY": "k"}.environment()
	joined := "\n" + strings.Join(environment, "\n") + "\n"
	if strings.Contains(joined, "CLICKLEDGER_STRAY") || !strings.Contains(joined, "\nCLICKLEDGER_ADMIN_KEY=k\n") {
		t.Error("the child's environment is not that of the settings")
	}
}
