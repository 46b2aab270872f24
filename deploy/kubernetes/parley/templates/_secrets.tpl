{{/* Secrets reach a role as files, and only those that it needs. */}}

{{- define "parley.secretName" -}}
{{- .Values.secrets.existingSecret | default (include "parley.fullname" .) -}}
{{- end }}

{{/* Names of the settings that the Secret holds, as a JSON list. */}}
{{- define "parley.secretKeys" -}}
{{- $keys := list -}}
{{- if .Values.secrets.existingSecret -}}
{{- $keys = .Values.secrets.keys -}}
{{- else -}}
{{- range $name, $value := .Values.secrets.values -}}
{{- if $value -}}
{{- $keys = append $keys $name -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $keys | sortAlpha | toJson -}}
{{- end }}

{{/* Of the secrets that a role may see, those that there are. Takes (list $ names); a JSON list. */}}
{{- define "parley.secretsOf" -}}
{{- $root := index . 0 -}}
{{- $wanted := index . 1 -}}
{{- $seen := list -}}
{{- range include "parley.secretKeys" $root | fromJsonArray -}}
{{- if has . $wanted -}}
{{- $seen = append $seen . -}}
{{- end -}}
{{- end -}}
{{- $seen | toJson -}}
{{- end }}

{{/* Refuses values with which nothing would run. */}}
{{- define "parley.check" -}}
{{- $keys := include "parley.secretKeys" . | fromJsonArray -}}
{{- $where := empty .Values.secrets.existingSecret | ternary "secrets.values" "secrets.keys" -}}
{{- if and .Values.secrets.existingSecret .Values.secrets.values -}}
{{- fail "secrets.existingSecret and secrets.values: give one of them" -}}
{{- end -}}
{{- range list "database_url" "redis_url" "secret_key" -}}
{{- if not (has . $keys) -}}
{{- fail (printf "%s: %s is missing (or name a Secret that holds it in secrets.existingSecret)" $where .) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.flower.enabled (not (has "flower_password" $keys)) -}}
{{- fail (printf "%s: flower_password is missing: Flower does not run without one" $where) -}}
{{- end -}}
{{- if and .Values.keda.enabled (not .Values.keda.prometheus.serverAddress) -}}
{{- fail "keda.prometheus.serverAddress is missing: KEDA asks Prometheus for the age of the queues" -}}
{{- end -}}
{{- if and .Values.gateway.ingress.enabled (not .Values.gateway.ingress.hosts) -}}
{{- fail "gateway.ingress.hosts is empty: name the hosts that the Ingress answers to" -}}
{{- end -}}
{{- $served := list -}}
{{- range $group, $worker := .Values.workers -}}
{{- if $worker -}}
{{- $served = concat $served $worker.kinds -}}
{{- end -}}
{{- end -}}
{{- range list "chat" "experiment" "query" -}}
{{- if not (has . $served) -}}
{{- fail (printf "workers: no group takes jobs of the kind %s" .) -}}
{{- end -}}
{{- end -}}
{{- end }}
