{{/* What everything is called, and by which labels it is found. With a group of workers behind it, a name still fits
     into a label: 63 characters. */}}

{{- define "parley.fullname" -}}
{{- $name := .Values.fullnameOverride | default (contains "parley" .Release.Name | ternary .Release.Name (printf "%s-parley" .Release.Name)) -}}
{{- $name | trunc 32 | trimSuffix "-" -}}
{{- end }}

{{/* Labels that never change: what selectors look for. Takes (list $ component). */}}
{{- define "parley.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: parley
app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- with index . 1 }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{/* All labels of an object. Takes (list $ component). */}}
{{- define "parley.labels" -}}
{{- $root := index . 0 -}}
{{ include "parley.selector" . }}
app.kubernetes.io/part-of: parley
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "parley.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "parley.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "parley.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end }}
