{{/* Most of these take a dict: root, the chart's own context; service, its name; and where it is said, more. */}}

{{- define "parcours.name" -}}
{{ printf "%s-%s" .root.Release.Name .service | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* What a thing is selected by; component: whose it is. */}}
{{- define "parcours.selector" -}}
app.kubernetes.io/name: parcours
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component | default .service }}
{{- end }}

{{- define "parcours.labels" -}}
{{ include "parcours.selector" . }}
app.kubernetes.io/part-of: parcours
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "parcours.image" -}}
{{- $tags := list .tag (dig .service "tag" "" .root.Values.services) .root.Values.image.tag .root.Chart.AppVersion }}
{{- .root.Values.image.prefix }}{{ .service }}:{{ compact $tags | first }}
{{- end }}

{{/* Whose own settings count: those of a service, and of all for the console. */}}
{{- define "parcours.owners" -}}
{{ eq .service "console" | ternary (list "catalogue" "enrolment" "notifier") (list .service) | toJson }}
{{- end }}

{{/*
The settings of a service that stand in its ConfigMap, by name: common ones, its own, then those of `settings` (of a job).
*/}}
{{- define "parcours.settings" -}}
{{- $known := get (.root.Files.Get "settings.yaml" | fromYaml) .service }}
{{- $layers := list .root.Values.settings }}
{{- range $owner := include "parcours.owners" . | fromJsonArray }}
  {{- $own := get (get $.root.Values.services $owner) "settings" }}
  {{- $layers = append $layers $own }}
  {{- range $name, $_ := $own }}
    {{- if not (has $name $known.settings) }}
      {{- fail (printf "services.%s.settings has %s, which that service does not have" $owner $name) }}
    {{- end }}
  {{- end }}
{{- end }}
{{- $found := dict }}
{{- if .root.Values.ingress.host }}
  {{- $_ := set $found "PUBLIC_BASE_URL" (printf "https://%s" .root.Values.ingress.host) }}
{{- end }}
{{- range $given := append $layers (.settings | default dict) }}
  {{- range $name, $value := $given }}
    {{- if has $name $known.settings }}{{ $_ := set $found $name $value }}{{ end }}
  {{- end }}
{{- end }}
{{- if ne .service "console" }}
  {{- $_ := set $found (printf "%s_PORT" (upper .service)) "8000" }}
  {{- $_ := set $found (printf "%s_OPERATIONS_PORT" (upper .service)) "9000" }}
{{- end }}
{{- toYaml $found }}
{{- end }}

{{/*
The settings of a service that are mounted from secrets, by name, each with its secret and key: in the same order.
*/}}
{{- define "parcours.secrets" -}}
{{- $known := get (.root.Files.Get "settings.yaml" | fromYaml) .service }}
{{- $all := concat $known.settings $known.secrets $known.files }}
{{- $layers := list .root.Values.secrets }}
{{- range $owner := include "parcours.owners" . | fromJsonArray }}
  {{- $own := get (get $.root.Values.services $owner) "secrets" }}
  {{- $layers = append $layers $own }}
  {{- range $name, $_ := $own }}
    {{- if not (has $name $all) }}
      {{- fail (printf "services.%s.secrets has %s, which that service does not have" $owner $name) }}
    {{- end }}
  {{- end }}
{{- end }}
{{- $found := dict }}
{{- range $given := append $layers (.secrets | default dict) }}
  {{- range $name, $at := $given }}
    {{- if has $name $all }}
      {{- $secret := $at.secret | default $.root.Values.existingSecret | required (printf "%s: existingSecret is empty" $name) }}
      {{- $_ := set $found $name (dict "secret" $secret "key" ($at.key | default $name)) }}
    {{- end }}
  {{- end }}
{{- end }}
{{- toYaml $found }}
{{- end }}

{{/* Fails where a service would be without a setting that it cannot do without. */}}
{{- define "parcours.complete" -}}
{{- $known := get (.root.Files.Get "settings.yaml" | fromYaml) .service }}
{{- $given := merge (include "parcours.settings" . | fromYaml) (include "parcours.secrets" . | fromYaml) }}
{{- range append $known.required "PUBLIC_BASE_URL" }}
  {{- if not (hasKey $given .) }}
    {{- fail (printf "%s is needed by the %s: set it in settings or in secrets (PUBLIC_BASE_URL by ingress.host too)" . $.service) }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Where each mounted setting is: a setting that is a path itself names its file, another has its file in <NAME>_FILE. */}}
{{- define "parcours.files" -}}
{{- $known := get (.root.Files.Get "settings.yaml" | fromYaml) .service }}
{{- range $name, $_ := include "parcours.secrets" . | fromYaml }}
- name: {{ has $name $known.files | ternary $name (printf "%s_FILE" $name) }}
  value: /run/parcours/{{ $name }}
{{- end }}
{{- end }}

{{- define "parcours.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $name, $at := include "parcours.secrets" . | fromYaml }}
      - secret:
          name: {{ $at.secret }}
          items: [{key: {{ $at.key }}, path: {{ $name }}}]
      {{- end }}
{{- end }}

{{- define "parcours.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: secrets, mountPath: /run/parcours, readOnly: true}
{{- end }}

{{/* How a pod runs: as the user of the image, by its number, with no rights in the cluster. */}}
{{- define "parcours.pod" -}}
automountServiceAccountToken: false
# A service of the cluster with the name of one of ours would set <NAME>_PORT.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "parcours.container" -}}
image: {{ include "parcours.image" . | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}
