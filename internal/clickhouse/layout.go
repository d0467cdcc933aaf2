package clickhouse

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

// table is one that programs name, and how it was first made: a Distributed one
// before NAME_local of each shard.
type table struct {
	name, cluster string
	engine        string // Distributed('CLUSTER', currentDatabase(), 'NAME_local'…)
}

var distributedTable = regexp.MustCompile(`CREATE TABLE (\w+) AS \w+_local\s+ENGINE = (Distributed\('(\w+)'[^;]*\));`)

// namedTables are all tables that programs name, as the migrations make them.
func namedTables() ([]table, error) {
	var tables []table
	err := fs.WalkDir(migrations, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		script, err := migrations.ReadFile(path)
		if err != nil {
			return err
		}
		for _, found := range distributedTable.FindAllStringSubmatch(string(script), -1) {
			tables = append(tables, table{name: found[1], cluster: found[3], engine: found[2]})
		}
		return nil
	})
	return tables, err
}

// layOut makes each table that programs name what its cluster needs. Where this
// server is all of the cluster, it is an alias of NAME_local: a Distributed table
// of one shard has every query analysed and planned twice, which takes as long
// as reading what a report needs, and every insert sent on. Elsewhere, and on a
// server too old for aliases, it is Distributed.
//
// The cluster is looked at when the schema is set up, not by who reads: a program
// that thought for a second too long that there is one shard would tell wrong
// figures. A table is replaced at one moment, with nothing in it to be lost.
func layOut(ctx context.Context, db *sql.DB) error {
	return eachNamed(ctx, db, func(t table, engine string) error {
		var alone bool
		err := db.QueryRowContext(ctx, `SELECT count() = 1 AND min(is_local) = 1 AND (SELECT count() = 1 FROM system.table_engines WHERE name = 'Alias')
			FROM system.clusters WHERE cluster = ?`, t.cluster).Scan(&alone)
		switch {
		case err != nil:
			return fmt.Errorf("look at cluster %s: %w", t.cluster, err)
		case alone && engine != "Alias":
			return t.replace(ctx, db, fmt.Sprintf("ENGINE = Alias(currentDatabase(), '%s_local')", t.name))
		case !alone && engine != "Distributed":
			return t.distribute(ctx, db)
		default:
			return nil
		}
	})
}

// layApart makes each table Distributed, as the migrations made it and expect it
// to be.
func layApart(ctx context.Context, db *sql.DB) error {
	return eachNamed(ctx, db, func(t table, engine string) error {
		if engine == "Distributed" {
			return nil
		}
		return t.distribute(ctx, db)
	})
}

// eachNamed goes through the tables that are there, and those that only are there
// behind: reshard has taken the one in front away.
func eachNamed(ctx context.Context, db *sql.DB, change func(t table, engine string) error) error {
	tables, err := namedTables()
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	for _, t := range tables {
		var engine string
		var behind bool
		err := db.QueryRowContext(ctx, "SELECT anyIf(engine, name = ?), countIf(name = ?) > 0 FROM system.tables WHERE database = currentDatabase() AND name IN (?, ?)",
			t.name, t.name+"_local", t.name, t.name+"_local").Scan(&engine, &behind)
		if err == nil && behind {
			err = change(t, engine)
		}
		if err != nil {
			return fmt.Errorf("lay out table %s: %w", t.name, err)
		}
	}
	return nil
}

func (t table) distribute(ctx context.Context, db *sql.DB) error {
	return t.replace(ctx, db, fmt.Sprintf("AS %s_local ENGINE = %s", t.name, t.engine))
}

func (t table) replace(ctx context.Context, db *sql.DB, definition string) error {
	return execDB(ctx, db, strings.Join([]string{"CREATE OR REPLACE TABLE", t.name, definition}, " "))
}
