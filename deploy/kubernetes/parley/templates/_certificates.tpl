{{/* Certificates of servers, mounted where the settings say. Each takes the dictionary of "parley.pod". */}}

{{- define "parley.certificates.environment" -}}
{{- $values := .root.Values -}}
{{- range .servers }}
{{- $server := . }}
{{- with (index $values $server).tls.caSecret }}
- {name: PARLEY_{{ upper $server }}_CA_FILE, value: /etc/parley/tls/{{ $server }}/ca.crt}
{{- end }}
{{- with (index $values $server).tls.clientSecret }}
- {name: PARLEY_{{ upper $server }}_CERTIFICATE_FILE, value: /etc/parley/tls/{{ $server }}-client/tls.crt}
- {name: PARLEY_{{ upper $server }}_CERTIFICATE_KEY_FILE, value: /etc/parley/tls/{{ $server }}-client/tls.key}
{{- end }}
{{- end }}
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
