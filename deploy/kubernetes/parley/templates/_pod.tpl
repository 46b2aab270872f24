{{/*
The pod of a role. Takes a dictionary:
  root          the chart's root
  component     the role
  command       what follows `python`
  secrets       names of the settings that it may see, of those that are secret
  resources     what it asks for and may take
  grace         seconds between being told to stop and being killed
  ports         container ports by name (optional)
  probes        liveness, readiness and startup probes (optional)
  preStop       seconds to wait before it is told to stop (optional)
  environment   "settings" for the ConfigMap, or "inline" where there is none yet
  servers       which servers it reaches with certificates: "postgres", "redis"
  restart       its restart policy (optional)
*/}}
{{- define "parley.pod" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $secrets := include "parley.secretsOf" (list $root .secrets) | fromJsonArray -}}
metadata:
  labels:
    {{- include "parley.labels" (list $root .component) | nindent 4 }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- $checksums := dict "checksum/settings" (include "parley.settings" $root | sha256sum) }}
  {{- if not $values.secrets.existingSecret }}
  {{- $given := dict }}
  {{- range $secrets }}
  {{- $_ := set $given . (index $values.secrets.values .) }}
  {{- end }}
  {{- $checksums = merge $checksums (dict "checksum/secrets" ($given | toJson | sha256sum)) }}
  {{- end }}
  annotations:
    {{- merge (deepCopy $values.podAnnotations) $checksums | toYaml | nindent 4 }}
spec:
  {{- if eq .environment "inline" }}
  serviceAccountName: {{ $values.serviceAccount.create | ternary (printf "%s-migrations" (include "parley.fullname" $root)) (include "parley.serviceAccountName" $root) }}
  {{- else }}
  serviceAccountName: {{ include "parley.serviceAccountName" $root }}
  {{- end }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .restart }}
  restartPolicy: {{ . }}
  {{- end }}
  # The cluster's own first process passes signals on and reaps what is left behind.
  shareProcessNamespace: true
  terminationGracePeriodSeconds: {{ .grace }}
  securityContext:
    runAsNonRoot: true
    runAsUser: {{ $values.userId | int64 }}
    runAsGroup: {{ $values.userId | int64 }}
    fsGroup: {{ $values.userId | int64 }}
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - topologyKey: {{ . }}
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "parley.selector" (list $root $.component) | nindent 10 }}
    {{- end }}
  containers:
    - name: {{ .component }}
      image: {{ include "parley.image" $root }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      command: [python]
      args: {{ .command | toJson }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      {{- if eq .environment "settings" }}
      envFrom:
        - configMapRef: {name: {{ include "parley.fullname" $root }}}
      {{- end }}
      env:
        - {name: HOME, value: /tmp}
        {{- range $secrets }}
        - {name: PARLEY_{{ upper . }}_FILE, value: /run/secrets/parley/{{ . }}}
        {{- end }}
        {{- include "parley.certificates.environment" . | nindent 8 }}
        {{- if eq .environment "inline" }}
        {{- range $name, $value := include "parley.settings" $root | fromYaml }}
        - {name: {{ $name }}, value: {{ $value | quote }}}
        {{- end }}
        {{- end }}
        {{- with $values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .ports }}
      ports:
        {{- range $name, $port := . }}
        - {name: {{ $name }}, containerPort: {{ $port }}}
        {{- end }}
      {{- end }}
      {{- with .probes }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
      {{- with .preStop }}
      lifecycle:
        preStop:
          exec: {command: [sleep, {{ . | int64 | quote }}]}
      {{- end }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- if $secrets }}
        - {name: secrets, mountPath: /run/secrets/parley, readOnly: true}
        {{- end }}
        {{- include "parley.certificates.mounts" . | nindent 8 }}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: 256Mi}
    {{- if $secrets }}
    - name: secrets
      secret:
        secretName: {{ if eq .environment "inline" }}{{ $values.secrets.existingSecret | default (printf "%s-migrations" (include "parley.fullname" $root)) }}{{ else }}{{ include "parley.secretName" $root }}{{ end }}
        defaultMode: 0440
        items:
          {{- range $secrets }}
          - {key: {{ . }}, path: {{ . }}}
          {{- end }}
    {{- end }}
    {{- include "parley.certificates.volumes" . | nindent 4 }}
{{- end }}

{{/*
Whether the process lives and can serve. Takes the name of the "port" that is asked, and what the process can do
"without": its failure alone must not take every pod out of the Service.
*/}}
{{- define "parley.probes" -}}
startupProbe:
  httpGet: {path: /health/live, port: {{ .port }}}
  periodSeconds: 2
  timeoutSeconds: 3
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /health/live, port: {{ .port }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: "/health/ready{{ with .without }}?exclude={{ . }}{{ end }}", port: {{ .port }}}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end }}
