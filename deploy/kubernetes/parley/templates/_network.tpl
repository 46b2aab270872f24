{{/* Paths out of a pod. */}}

{{- define "parley.egress.dns" -}}
{{- $dns := .Values.networkPolicy.dns -}}
- {{ with $dns.to }}to:
    {{- toYaml . | nindent 4 }}
  {{ end }}ports:
    - {protocol: UDP, port: {{ $dns.port | int64 }}}
    - {protocol: TCP, port: {{ $dns.port | int64 }}}
{{- end }}

{{/* To a server. Takes {to, ports}. */}}
{{- define "parley.egress" -}}
- {{ with .to }}to:
    {{- toYaml . | nindent 4 }}
  {{ end }}ports:
    {{- range .ports }}
    - {protocol: TCP, port: {{ . | int64 }}}
    {{- end }}
{{- end }}

{{/* To all that a role speaks with. Takes (list $ servers). */}}
{{- define "parley.egress.servers" -}}
{{- $root := index . 0 -}}
{{- $policy := $root.Values.networkPolicy -}}
{{ include "parley.egress.dns" $root }}
{{- range index . 1 }}
{{ include "parley.egress" (index $policy .) }}
{{- end }}
{{- if has "broker_url" (include "parley.secretKeys" $root | fromJsonArray) }}
{{ include "parley.egress" $policy.broker }}
{{- end }}
{{- if eq ($root.Values.settings.tracing | default "off" | toString) "otlp" }}
{{ include "parley.egress" $policy.otlp }}
{{- end }}
{{- end }}
