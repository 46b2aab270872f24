{{/* What follows `python` on the command line of each role, as a JSON list: the commands of `deploy/roles.py`. */}}

{{- define "parley.command.gateway" -}}
{{- list "-m" "gateway" "--host" "0.0.0.0" "--port" "8642" | toJson -}}
{{- end }}

{{/* Takes (list $ group worker). */}}
{{- define "parley.command.worker" -}}
{{- $namespace := include "parley.namespace" (index . 0) -}}
{{- $worker := index . 2 -}}
{{- $queues := list -}}
{{- range $worker.kinds -}}
{{- $queues = append $queues (printf "%s.%s" $namespace .) -}}
{{- end -}}
{{- $arguments := list "-m" "celery" "-A" "workers.app" "worker" "-P" "threads" "-c" ($worker.concurrency | int64 | toString) -}}
{{- $arguments = concat $arguments (list "-Q" (join "," $queues) "-n" (printf "worker-%s@%%h" (index . 1))) -}}
{{- concat $arguments (list "--loglevel" "INFO" "--without-gossip" "--without-mingle") | toJson -}}
{{- end }}

{{- define "parley.command.maintenance" -}}
{{- list "-m" "workers.maintenance" | toJson -}}
{{- end }}

{{- define "parley.command.migration" -}}
{{- list "-m" "shared.database.migrate" | toJson -}}
{{- end }}

{{- define "parley.command.flower" -}}
{{- list "-m" "deploy.flower" "--host" "0.0.0.0" "--port" "5555" | toJson -}}
{{- end }}
