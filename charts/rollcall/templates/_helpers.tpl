{{/* The beginning of every object's name: the release's name, with the chart's unless it is in there. */}}
{{- define "rollcall.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels of every object. Takes a list of the root and the component. */}}
{{- define "rollcall.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{ include "rollcall.selectorLabels" . }}
{{- end -}}

{{/* Labels that select a component's pods. Takes a list of the root and the component. */}}
{{- define "rollcall.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "rollcall.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "rollcall.ansibleImage" -}}
{{ .Values.image.repository }}-ansible:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* The addresses of the output stores that are filled in, as JSON by their kind. */}}
{{- define "rollcall.outputStores" -}}
{{- $stores := dict "cluster" "cluster" -}}
{{- if .Values.output.file.persistentVolumeClaim -}}
{{- $_ := set $stores "file" "file:///var/lib/rollcall/output" -}}
{{- end -}}
{{- with .Values.output.object.url -}}
{{- $_ := set $stores "object" . -}}
{{- end -}}
{{- $needed := dict "cluster" "" "file" "output.file.persistentVolumeClaim" "object" "output.object.url" -}}
{{- if not (hasKey $stores .Values.output.store) -}}
{{- fail (printf "output.store %s needs %s" .Values.output.store (get $needed .Values.output.store)) -}}
{{- end -}}
{{- toJson $stores -}}
{{- end -}}

{{/* The namespace that the facade shows. */}}
{{- define "rollcall.apiNamespace" -}}
{{ .Values.api.namespace | default .Release.Namespace }}
{{- end -}}

{{/* What the restricted Pod Security Standard asks of a pod, and a little more. */}}
{{- define "rollcall.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "rollcall.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where a component's pods go. Takes the component's values. */}}
{{- define "rollcall.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* Probes of a server with /healthz and /readyz on the port named http. */}}
{{- define "rollcall.probes" -}}
startupProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 2
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
livenessProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 20
  timeoutSeconds: 5
{{- end -}}

{{/* Taking ids from the sequences that the operator and the facade share. */}}
{{- define "rollcall.idsRules" -}}
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [rollcall-ids]
  verbs: [get, update]
{{- end -}}

{{/* A budget that lets one pod of a component go at a time. Takes a list of the root and the component. */}}
{{- define "rollcall.podDisruptionBudget" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "rollcall.fullname" $root }}-{{ $component }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "rollcall.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "rollcall.selectorLabels" . | nindent 6 }}
{{- end -}}
