{{- define "registry.name" -}}
{{ .Release.Name | trunc 53 | trimSuffix "-" }}
{{- end }}

{{- define "registry.labels" -}}
app.kubernetes.io/name: ai-model-registry
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "registry.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "registry.probe" -}}
httpGet:
  path: {{ .path }}
  port: http
  scheme: {{ if .tls }}HTTPS{{ else }}HTTP{{ end }}
{{ toYaml .times }}
{{- end }}
