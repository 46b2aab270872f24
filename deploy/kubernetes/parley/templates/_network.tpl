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

{{/* To all that a role speaks with, of "postgres", "redis", "broker", "management" and "otlp". Takes (list $ servers). */}}
{{- define "parley.egress.servers" -}}
{{- $root := index . 0 -}}
{{- $absent := list -}}
{{- range $server, $secret := dict "broker" "broker_url" "management" "flower_broker_api" -}}
{{- if not (has $secret (include "parley.secretKeys" $root | fromJsonArray)) -}}
{{- $absent = append $absent $server -}}
{{- end -}}
{{- end -}}
{{- if ne ($root.Values.settings.tracing | default "off" | toString) "otlp" -}}
{{- $absent = append $absent "otlp" -}}
{{- end -}}
{{ include "parley.egress.dns" $root }}
{{- range index . 1 }}
{{- if not (has . $absent) }}
{{ include "parley.egress" (index $root.Values.networkPolicy .) }}
{{- end }}
{{- end }}
{{- end }}
