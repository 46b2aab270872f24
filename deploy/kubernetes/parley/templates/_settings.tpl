{{/* Settings as environment variables: the value of a variable is text, and a large number has no exponent. */}}

{{- define "parley.setting" -}}
{{- if kindIs "slice" . -}}
{{ join "," . }}
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}
{{ int64 . }}
{{- else -}}
{{ . }}
{{- end -}}
{{- end }}

{{- define "parley.settings" -}}
PARLEY_METRICS_LISTEN: "0.0.0.0:9464"
{{- range $name, $value := .Values.settings }}
{{- if not (kindIs "invalid" $value) }}
PARLEY_{{ upper $name }}: {{ include "parley.setting" $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "parley.namespace" -}}
{{- .Values.settings.namespace | default "parley" -}}
{{- end }}

{{/* Seconds that jobs get when their worker is told to stop. */}}
{{- define "parley.drainGrace" -}}
{{- $given := .Values.settings.drain_grace -}}
{{- kindIs "invalid" $given | ternary 10 $given | ceil | int64 -}}
{{- end }}
