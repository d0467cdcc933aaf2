{{/* Short enough for every suffix: a StatefulSet's name may have 52 characters. */}}
{{- define "clickledger.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* Those below take (list CONTEXT COMPONENT). */}}
{{- define "clickledger.selector" -}}
app.kubernetes.io/name: {{ (index . 0).Chart.Name }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "clickledger.labels" -}}
{{ include "clickledger.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version }}
{{- end }}

{{- define "clickledger.podMetadata" -}}
labels:
  {{- include "clickledger.labels" . | nindent 2 }}
annotations:
  checksum/config: {{ toJson (index . 0).Values.config | sha256sum }}
  {{- with (index . 0).Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* What every pod has: no token, no service variables (their names begin as ours do), the restricted profile. */}}
{{- define "clickledger.pod" -}}
{{- $ := index . 0 -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65534
  runAsGroup: 65534
  fsGroup: 65534
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with $.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Copies of a program apart from each other, where there is room. */}}
{{- define "clickledger.spread" -}}
topologySpreadConstraints:
  {{- $selector := include "clickledger.selector" . }}
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- $selector | nindent 8 }}
  {{- end }}
{{- end }}

{{/* The part of a container that all have. */}}
{{- define "clickledger.container" -}}
{{- $ := index . 0 -}}
name: {{ index . 1 }}
image: {{ $.Values.image.repository }}{{ if $.Values.image.digest }}@{{ $.Values.image.digest }}{{ else }}:{{ $.Values.image.tag | default $.Chart.AppVersion }}{{ end }}
imagePullPolicy: {{ $.Values.image.pullPolicy }}
command: [/usr/local/bin/{{ index . 1 }}]
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
resources:
  {{- toYaml (index $.Values (index . 1)).resources | nindent 2 }}
envFrom:
  - configMapRef:
      name: {{ include "clickledger.name" $ }}{{ if eq (index . 1) "setup" }}-setup{{ end }}
{{- end }}

{{- define "clickledger.secretEnv" -}}
{{- range $variable, $place := .Values.secrets }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ $place.name }}
      key: {{ $place.key }}
{{- end }}
{{- end }}

{{- define "clickledger.mounts" -}}
{{- range .Values.mounts }}
- name: {{ .name }}
  mountPath: {{ .mountPath }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "clickledger.volumes" -}}
{{- with .Values.mounts }}
volumes:
  {{- range . }}
  - name: {{ .name }}
    {{- if .secret }}
    secret:
      secretName: {{ .secret }}
    {{- else }}
    configMap:
      name: {{ .configMap }}
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Of the operations port; one that only waits for a server is alive. */}}
{{- define "clickledger.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: ops}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: ops}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: {{ . }}, port: ops}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end }}
