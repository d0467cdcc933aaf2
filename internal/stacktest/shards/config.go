package shards

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// Small: a test's servers run beside the stack's.
const configText = `<clickhouse>
  <log-level>warning</log-level>
  <logger><level>warning</level><log>{{.Dir}}/server.log</log><console>0</console></logger>
  <users_config>{{.Dir}}/users.xml</users_config>
  <tmp_path>{{.Dir}}/data/tmp/</tmp_path>
  <default_database>default</default_database>
  <max_server_memory_usage>2000000000</max_server_memory_usage>
  <mark_cache_size>33554432</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <background_pool_size>2</background_pool_size>
  <background_merges_mutations_concurrency_ratio>1</background_merges_mutations_concurrency_ratio>
  <background_schedule_pool_size>8</background_schedule_pool_size>
  <background_message_broker_schedule_pool_size>1</background_message_broker_schedule_pool_size>
  <background_common_pool_size>1</background_common_pool_size>
  <background_fetches_pool_size>1</background_fetches_pool_size>
  <background_move_pool_size>1</background_move_pool_size>
  <background_distributed_schedule_pool_size>2</background_distributed_schedule_pool_size>
  <merge_tree>
    <number_of_free_entries_in_pool_to_execute_mutation>1</number_of_free_entries_in_pool_to_execute_mutation>
    <number_of_free_entries_in_pool_to_lower_max_size_of_merge>1</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
    <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>1</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
  </merge_tree>
  <query_log><database>system</database><table>query_log</table><flush_interval_milliseconds>1000</flush_interval_milliseconds></query_log>
  <metric_log><database>system</database><table>metric_log</table><collect_interval_milliseconds>3600000</collect_interval_milliseconds></metric_log>
  <remote_servers>
{{- range $name, $addrs := .Clusters}}
    <{{$name}}>
{{- range $addrs}}
      <shard><internal_replication>true</internal_replication><replica>
        <host>{{host .}}</host><port>{{port .}}</port><user>{{$.User}}</user><password>{{$.Password}}</password>
      </replica></shard>
{{- end}}
    </{{$name}}>
{{- end}}
  </remote_servers>
</clickhouse>
`

// The server's own session, which has no password, may do no more than it must:
// see deploy/local/config/clickhouse-users.xml.tmpl.
const usersText = `<clickhouse>
  <profiles><default>
    <async_insert>0</async_insert>
    <max_memory_usage>1500000000</max_memory_usage>
    <max_threads>1</max_threads>
    <log_queries>1</log_queries>
  </default></profiles>
  <quotas><default/></quotas>
  <users>
    <default>
      <no_password/>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile><quota>default</quota>
      <grants>
        <query>GRANT SYSTEM LISTEN ON *.*</query>
        <query>GRANT SELECT ON system.numbers</query>
      </grants>
    </default>
    <{{.User}}>
      <password_sha256_hex>{{.PasswordSHA256}}</password_sha256_hex>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile><quota>default</quota>
      <access_management>1</access_management>
      <named_collection_control>1</named_collection_control>
    </{{.User}}>
  </users>
</clickhouse>
`

// configure writes what a server reads when it starts: the data is spread over
// the addresses, and the first is home.
func (s *server) configure(addrs []string) error {
	hash := sha256.Sum256([]byte(s.password))
	values := map[string]any{
		"Dir": s.dir, "User": s.user, "Password": s.password, "PasswordSHA256": hex.EncodeToString(hash[:]),
		"Clusters": map[string][]string{"clickledger": addrs, "clickledger_home": addrs[:1]},
	}
	part := func(i int) func(string) (string, error) {
		return func(addr string) (string, error) {
			host, port, err := net.SplitHostPort(addr)
			return [2]string{host, port}[i], err
		}
	}
	for name, text := range map[string]string{"config.xml": configText, "users.xml": usersText} {
		parsed, err := template.New(name).Funcs(template.FuncMap{"host": part(0), "port": part(1)}).Parse(text)
		if err != nil {
			return fmt.Errorf("read template of %s: %w", name, err)
		}
		var b strings.Builder
		if err := parsed.Execute(&b, values); err != nil {
			return fmt.Errorf("make %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(b.String()), 0o600); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}
