{{/* Certificates of servers, mounted where the settings say. Each takes the dictionary of "parley.pod". */}}

{{- define "parley.certificates.environment" -}}
{{- $values := .root.Values -}}
{{- $variables := include "parley.certificates.variables" . | fromYaml -}}
{{- range .servers }}
{{- $names := index $variables . }}
{{- $tls := (index $values .).tls }}
{{- if $tls.caSecret }}
- {name: {{ $names.ca }}, value: /etc/parley/tls/{{ . }}/ca.crt}
{{- with $names.mode }}
- {name: {{ . }}, value: verify-full}
{{- end }}
{{- end }}
{{- if $tls.clientSecret }}
- {name: {{ $names.certificate }}, value: /etc/parley/tls/{{ . }}-client/tls.crt}
- {name: {{ $names.key }}, value: /etc/parley/tls/{{ . }}-client/tls.key}
{{- end }}
{{- end }}
{{- end }}

{{/* The variables that name them: libpq's own for Postgres, settings for the others. */}}
{{- define "parley.certificates.variables" -}}
postgres: {mode: PGSSLMODE, ca: PGSSLROOTCERT, certificate: PGSSLCERT, key: PGSSLKEY}
redis: {ca: PARLEY_REDIS_TLS_CA, certificate: PARLEY_REDIS_TLS_CERT, key: PARLEY_REDIS_TLS_KEY}
broker: {ca: PARLEY_BROKER_TLS_CA, certificate: PARLEY_BROKER_TLS_CERT, key: PARLEY_BROKER_TLS_KEY}
{{- end }}

{{- define "parley.certificates.mounts" -}}
{{- $values := .root.Values -}}
{{- range .servers }}
{{- $tls := (index $values .).tls }}
{{- if $tls.caSecret }}
- {name: {{ . }}-ca, mountPath: /etc/parley/tls/{{ . }}, readOnly: true}
{{- end }}
{{- if $tls.clientSecret }}
- {name: {{ . }}-client, mountPath: /etc/parley/tls/{{ . }}-client, readOnly: true}
{{- end }}
{{- end }}
{{- end }}

{{- define "parley.certificates.volumes" -}}
{{- $values := .root.Values -}}
{{- range .servers }}
{{- $tls := (index $values .).tls }}
{{- if $tls.caSecret }}
- name: {{ . }}-ca
  secret:
    secretName: {{ $tls.caSecret }}
    defaultMode: 0440
    items: [{key: {{ $tls.caKey }}, path: ca.crt}]
{{- end }}
{{- if $tls.clientSecret }}
- name: {{ . }}-client
  secret:
    secretName: {{ $tls.clientSecret }}
    defaultMode: 0440
    items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]
{{- end }}
{{- end }}
{{- end }}
