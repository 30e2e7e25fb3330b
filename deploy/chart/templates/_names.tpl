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

{{- /* The name of a claim: of the volume's values, and what the chart calls it when it makes it. */}}
{{- define "registry.claimName" -}}
{{ .volume.existingClaim | default (printf "%s-%s" (include "registry.name" .root) .name) }}
{{- end }}

{{- define "registry.dataClaim" -}}
{{ include "registry.claimName" (dict "root" . "volume" .Values.persistence "name" .Values.persistence.name) }}
{{- end }}

{{- define "registry.backupClaim" -}}
{{ include "registry.claimName" (dict "root" . "volume" .Values.backup "name" "backup") }}
{{- end }}

{{- define "registry.claim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ .name }}
  labels:
    {{- include "registry.labels" .root | nindent 4 }}
  annotations:
    # Neither an upgrade nor the end of the release takes it away.
    helm.sh/resource-policy: keep
    {{- with .volume.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with .volume.storageClassName }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests:
      storage: {{ .volume.size }}
{{- end }}

{{- /* What of a pod's specification holds for whatever is run over the registry's volumes. */}}
{{- define "registry.pod" -}}
automountServiceAccountToken: false
# Variables of services would look like settings of the registry that it does not know.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "registry.container" -}}
image: {{ include "registry.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- end }}

{{- define "registry.mounts" -}}
- name: data
  mountPath: /registry
{{- if .Values.backup.enabled }}
- name: backup
  mountPath: /backup
{{- end }}
{{- end }}

{{- define "registry.volumes" -}}
- name: data
  persistentVolumeClaim:
    claimName: {{ include "registry.dataClaim" . }}
{{- if .Values.backup.enabled }}
- name: backup
  persistentVolumeClaim:
    claimName: {{ include "registry.backupClaim" . }}
{{- end }}
{{- end }}
