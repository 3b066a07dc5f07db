//! Field order of internal structs, as `pkg/apis/core/types.go` declares them.

use std::collections::HashMap;
use std::sync::LazyLock;

/// A field: its Go name, its JSON name ("" for the fields of the same object), and how it prints.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) json: &'static str,
    pub(super) ty: Type,
}

pub(super) enum Type {
    Text,
    Number,
    Bool,
    /// A struct in place: shown even when all of it is zero.
    Struct(&'static str),
    Pointer(&'static str),
    /// Of structs, or of plain values when "".
    List(&'static str),
    /// An embedded struct, whose fields are the holder's.
    Embedded(&'static str),
    /// Embedded `ObjectMeta`.
    Metadata,
    /// A pointer to a label selector.
    Selector,
    /// Pointers to scalars, maps, quantities: null or as in JSON.
    Any,
}

/// One struct a line: `Name: Field json type …`. A JSON name may be a path with slashes. Types are `s`, `i`, `b`, `?`, `@`
/// (metadata), `&` (a selector), `Name`, `*Name`, `[]Name`, `+Name` (embedded); a JSON name
/// of `=` is the Go name with its first letter small.
const LAYOUTS: &str = "
ScopeSelector: MatchExpressions = []ScopedResourceSelectorRequirement
ScopedResourceSelectorRequirement: ScopeName = s, Operator = s, Values = []
Taint: Key = s, Value = s, Effect = s, TimeAdded = ?
ServicePort: Name = s, Protocol = s, AppProtocol = ?, Port = i, TargetPort = ?, NodePort = i
RoleRef: APIGroup apiGroup s, Kind = s, Name = s
ResourceRequirements: Limits = ?, Requests = ?, Claims = []ResourceClaim
ResourceClaim: Name = s, Request = s
VolumeResourceRequirements: Limits = ?, Requests = ?
PersistentVolumeClaimSpec: AccessModes = [], Selector = &, Resources = VolumeResourceRequirements, VolumeName = s, StorageClassName = ?, VolumeMode = ?, DataSource = *TypedLocalObjectReference, DataSourceRef = *TypedObjectReference, VolumeAttributesClassName = ?
TypedLocalObjectReference: APIGroup apiGroup ?, Kind = s, Name = s
TypedObjectReference: APIGroup apiGroup ?, Kind = s, Name = s, Namespace = ?
PodDisruptionBudgetSpec: MinAvailable = ?, Selector = &, MaxUnavailable = ?, UnhealthyPodEvictionPolicy = ?
PodSpec: Volumes = []Volume, InitContainers = []Container, Containers = []Container, EphemeralContainers = []EphemeralContainer, RestartPolicy = s, TerminationGracePeriodSeconds = ?, ActiveDeadlineSeconds = ?, DNSPolicy dnsPolicy s, NodeSelector = ?, ServiceAccountName = s, AutomountServiceAccountToken = ?, NodeName = s, SecurityContext . PodSecurity, ImagePullSecrets = []LocalObjectReference, Hostname = s, Subdomain = s, SetHostnameAsFQDN setHostnameAsFQDN ?, Affinity = *Affinity, SchedulerName = s, Tolerations = []Toleration, HostAliases = []HostAlias, PriorityClassName = s, Priority = ?, PreemptionPolicy = ?, DNSConfig dnsConfig *PodDNSConfig, ReadinessGates = []PodReadinessGate, RuntimeClassName = ?, Overhead = ?, EnableServiceLinks = ?, TopologySpreadConstraints = []TopologySpreadConstraint, OS os *PodOS, SchedulingGates = []PodSchedulingGate, ResourceClaims = []PodResourceClaim, Resources = *ResourceRequirements, HostnameOverride = ?, SchedulingGroup = ?
PodSecurity: HostNetwork hostNetwork b, HostPID hostPID b, HostIPC hostIPC b, ShareProcessNamespace = ?, HostUsers = ?, SELinuxOptions securityContext/seLinuxOptions *SELinuxOptions, WindowsOptions securityContext/windowsOptions *WindowsOptions, RunAsUser securityContext/runAsUser ?, RunAsGroup securityContext/runAsGroup ?, RunAsNonRoot securityContext/runAsNonRoot ?, SupplementalGroups securityContext/supplementalGroups [], SupplementalGroupsPolicy securityContext/supplementalGroupsPolicy ?, FSGroup securityContext/fsGroup ?, FSGroupChangePolicy securityContext/fsGroupChangePolicy ?, Sysctls securityContext/sysctls []Sysctl, SeccompProfile securityContext/seccompProfile *SeccompProfile, AppArmorProfile securityContext/appArmorProfile *SeccompProfile, SELinuxChangePolicy securityContext/seLinuxChangePolicy ?
SELinuxOptions: User = s, Role = s, Type = s, Level = s
WindowsOptions: GMSACredentialSpecName gmsaCredentialSpecName ?, GMSACredentialSpec gmsaCredentialSpec ?, RunAsUserName = ?, HostProcess = ?
Sysctl: Name = s, Value = s
LocalObjectReference: Name = s
PodOS: Name = s
PodReadinessGate: ConditionType = s
PodSchedulingGate: Name = s
PodResourceClaim: Name = s, ResourceClaimName = ?, ResourceClaimTemplateName = ?
HostAlias: IP ip s, Hostnames = []
Toleration: Key = s, Operator = s, Value = s, Effect = s, TolerationSeconds = ?
PodDNSConfig: Nameservers = [], Searches = [], Options = []PodDNSConfigOption
PodDNSConfigOption: Name = s, Value = ?
TopologySpreadConstraint: MaxSkew = i, TopologyKey = s, WhenUnsatisfiable = s, LabelSelector = &, MinDomains = ?, NodeAffinityPolicy = ?, NodeTaintsPolicy = ?, MatchLabelKeys = []
Affinity: NodeAffinity = *NodeAffinity, PodAffinity = *PodAffinity, PodAntiAffinity = *PodAffinity
NodeAffinity: RequiredDuringSchedulingIgnoredDuringExecution = *NodeSelector, PreferredDuringSchedulingIgnoredDuringExecution = []PreferredSchedulingTerm
NodeSelector: NodeSelectorTerms = []NodeSelectorTerm
NodeSelectorTerm: MatchExpressions = []NodeSelectorRequirement, MatchFields = []NodeSelectorRequirement
NodeSelectorRequirement: Key = s, Operator = s, Values = []
PreferredSchedulingTerm: Weight = i, Preference = NodeSelectorTerm
PodAffinity: RequiredDuringSchedulingIgnoredDuringExecution = []PodAffinityTerm, PreferredDuringSchedulingIgnoredDuringExecution = []WeightedPodAffinityTerm
WeightedPodAffinityTerm: Weight = i, PodAffinityTerm = PodAffinityTerm
PodAffinityTerm: LabelSelector = &, Namespaces = [], TopologyKey = s, NamespaceSelector = &, MatchLabelKeys = [], MismatchLabelKeys = []
Container: Name = s, Image = s, Command = [], Args = [], WorkingDir = s, Ports = []ContainerPort, EnvFrom = []EnvFromSource, Env = []EnvVar, Resources = ResourceRequirements, ResizePolicy = []ContainerResizePolicy, RestartPolicy = ?, RestartPolicyRules = []ContainerRestartRule, VolumeMounts = []VolumeMount, VolumeDevices = []VolumeDevice, LivenessProbe = *Probe, ReadinessProbe = *Probe, StartupProbe = *Probe, Lifecycle = *Lifecycle, TerminationMessagePath = s, TerminationMessagePolicy = s, ImagePullPolicy = s, SecurityContext = *SecurityContext, Stdin = b, StdinOnce = b, TTY tty b
EphemeralContainer: Name = s, Image = s, Command = [], Args = [], WorkingDir = s, Ports = []ContainerPort, EnvFrom = []EnvFromSource, Env = []EnvVar, Resources = ResourceRequirements, ResizePolicy = []ContainerResizePolicy, RestartPolicy = ?, RestartPolicyRules = []ContainerRestartRule, VolumeMounts = []VolumeMount, VolumeDevices = []VolumeDevice, LivenessProbe = *Probe, ReadinessProbe = *Probe, StartupProbe = *Probe, Lifecycle = *Lifecycle, TerminationMessagePath = s, TerminationMessagePolicy = s, ImagePullPolicy = s, SecurityContext = *SecurityContext, Stdin = b, StdinOnce = b, TTY tty b, TargetContainerName = s
ContainerPort: Name = s, HostPort = i, ContainerPort = i, Protocol = s, HostIP hostIP s
ContainerResizePolicy: ResourceName = s, RestartPolicy = s
EnvFromSource: Prefix = s, ConfigMapRef = *OptionalReference, SecretRef = *OptionalReference
OptionalReference: Name = s, Optional = ?
EnvVar: Name = s, Value = s, ValueFrom = *EnvVarSource
EnvVarSource: FieldRef = *ObjectFieldSelector, ResourceFieldRef = *ResourceFieldSelector, ConfigMapKeyRef = *KeySelector, SecretKeyRef = *KeySelector, FileKeyRef = *FileKeySelector
ObjectFieldSelector: APIVersion apiVersion s, FieldPath = s
ResourceFieldSelector: ContainerName = s, Resource = s, Divisor = ?
KeySelector: Name = s, Key = s, Optional = ?
FileKeySelector: VolumeName = s, Path = s, Key = s, Optional = ?
VolumeMount: Name = s, ReadOnly = b, RecursiveReadOnly = ?, MountPath = s, SubPath = s, MountPropagation = ?, SubPathExpr = s
VolumeDevice: Name = s, DevicePath = s
Probe: Exec = *ExecAction, HTTPGet httpGet *HTTPGetAction, TCPSocket tcpSocket *TCPSocketAction, GRPC grpc *GRPCAction, InitialDelaySeconds = i, TimeoutSeconds = i, PeriodSeconds = i, SuccessThreshold = i, FailureThreshold = i, TerminationGracePeriodSeconds = ?
ExecAction: Command = []
HTTPGetAction: Path = s, Port = ?, Host = s, Scheme = s, HTTPHeaders httpHeaders []HTTPHeader
HTTPHeader: Name = s, Value = s
TCPSocketAction: Port = ?, Host = s
GRPCAction: Port = i, Service = ?
Lifecycle: PostStart = *LifecycleHandler, PreStop = *LifecycleHandler, StopSignal = ?
LifecycleHandler: Exec = *ExecAction, HTTPGet httpGet *HTTPGetAction, TCPSocket tcpSocket *TCPSocketAction, Sleep = *SleepAction
SleepAction: Seconds = i
SecurityContext: Capabilities = *Capabilities, Privileged = ?, SELinuxOptions seLinuxOptions *SELinuxOptions, WindowsOptions = *WindowsOptions, RunAsUser = ?, RunAsGroup = ?, RunAsNonRoot = ?, ReadOnlyRootFilesystem = ?, AllowPrivilegeEscalation = ?, ProcMount = ?, SeccompProfile = *SeccompProfile, AppArmorProfile = *SeccompProfile
Capabilities: Add = [], Drop = []
SeccompProfile: Type = s, LocalhostProfile = ?
Volume: Name = s, HostPath = *HostPath, EmptyDir = *EmptyDir, GCEPersistentDisk gcePersistentDisk *GCEPersistentDiskVolumeSource, AWSElasticBlockStore awsElasticBlockStore *AWSElasticBlockStoreVolumeSource, GitRepo = *GitRepoVolumeSource, Secret = *SecretVolume, NFS nfs *NFS, ISCSI iscsi *ISCSIVolumeSource, Glusterfs = *GlusterfsVolumeSource, PersistentVolumeClaim = *ClaimVolume, RBD rbd *RBDVolumeSource, Quobyte = *QuobyteVolumeSource, FlexVolume = *FlexVolumeSource, Cinder = *CinderVolumeSource, CephFS cephfs *CephFSVolumeSource, Flocker = *FlockerVolumeSource, DownwardAPI downwardAPI *DownwardVolume, FC fc *FCVolumeSource, AzureFile = *AzureFileVolumeSource, ConfigMap = *ConfigMapVolume, VsphereVolume = *VsphereVirtualDiskVolumeSource, AzureDisk = *AzureDiskVolumeSource, PhotonPersistentDisk = *PhotonPersistentDiskVolumeSource, Projected = *Projected, PortworxVolume = *PortworxVolumeSource, ScaleIO scaleIO *ScaleIOVolumeSource, StorageOS storageos *StorageOSVolumeSource, CSI csi *CSIVolumeSource, Ephemeral = *EphemeralVolumeSource, Image = *ImageVolumeSource
HostPath: Path = s, Type = ?
EmptyDir: Medium = s, SizeLimit = ?
SecretVolume: SecretName = s, Items = []KeyToPath, DefaultMode = ?, Optional = ?
ConfigMapVolume: Name = s, Items = []KeyToPath, DefaultMode = ?, Optional = ?
KeyToPath: Key = s, Path = s, Mode = ?
NFS: Server = s, Path = s, ReadOnly = b
ClaimVolume: ClaimName = s, ReadOnly = b
PodIP: IP ip s
Projected: Sources = []Projection, DefaultMode = ?
Projection: Secret = *SecretProjection, DownwardAPI downwardAPI *DownwardProjection, ConfigMap = *SecretProjection, ServiceAccountToken = *TokenProjection, ClusterTrustBundle = *ClusterTrustBundleProjection, PodCertificate = *PodCertificateProjection
SecretProjection: Name = s, Items = []KeyToPath, Optional = ?
DownwardProjection: Items = []DownwardFile
DownwardVolume: Items = []DownwardFile, DefaultMode = ?
DownwardFile: Path = s, FieldRef = *ObjectFieldSelector, ResourceFieldRef = *ResourceFieldSelector, Mode = ?
TokenProjection: Audience = s, ExpirationSeconds = i, Path = s
ResourceClaimTemplateSpec: ObjectMeta metadata @, Spec = ResourceClaimSpec
PodTemplateSpec: ObjectMeta metadata @, Spec = PodSpec
ResourceClaimSpec: Devices = DeviceClaim
DeviceClaim: Requests = []DeviceRequest, Constraints = []DeviceConstraint, Config = []DeviceClaimConfiguration
DeviceRequest: Name = s, Exactly = *ExactDeviceRequest, FirstAvailable = []DeviceSubRequest
ExactDeviceRequest: DeviceClassName = s, Selectors = []DeviceSelector, AllocationMode = s, Count = i, AdminAccess = ?, Tolerations = []DeviceToleration, Capacity = *CapacityRequirements
DeviceAttribute: IntValue int ?, BoolValue bool ?, StringValue string ?, VersionValue version ?, IntValues ints ?, BoolValues bools ?, StringValues strings ?, VersionValues versions ?
NodeAddress: Type = s, Address = s
ServiceCIDRSpec: CIDRs cidrs []
ParentReference: Group = s, Resource = s, Namespace = s, Name = s
ObjectReference: Kind = s, Namespace = s, Name = s, UID uid s, APIVersion apiVersion s, ResourceVersion = s, FieldPath = s
CSINodeDriver: Name = s, NodeID nodeID s, TopologyKeys = [], Allocatable = ?
PodFailurePolicy: Rules = []PodFailurePolicyRule
PodFailurePolicyRule: Action = s, OnExitCodes = *PodFailurePolicyOnExitCodesRequirement, OnPodConditions = []PodFailurePolicyOnPodConditionsPattern
PodFailurePolicyOnExitCodesRequirement: ContainerName = ?, Operator = s, Values = []
PodFailurePolicyOnPodConditionsPattern: Type = s, Status = s
SuccessPolicy: Rules = []SuccessPolicyRule
SuccessPolicyRule: SucceededIndexes = ?, SucceededCount = ?
HostIP: IP ip s
HorizontalPodAutoscalerBehavior: ScaleUp = *HPAScalingRules, ScaleDown = *HPAScalingRules
HPAScalingRules: StabilizationWindowSeconds = ?, SelectPolicy = ?, Policies = []HPAScalingPolicy, Tolerance = ?
HPAScalingPolicy: Type = s, Value = i, PeriodSeconds = i
PersistentVolumeSource: GCEPersistentDisk gcePersistentDisk *GCEPersistentDiskVolumeSource, AWSElasticBlockStore awsElasticBlockStore *AWSElasticBlockStoreVolumeSource, HostPath = *HostPath, Glusterfs = *GlusterfsPersistentVolumeSource, NFS nfs *NFS, RBD rbd *RBDPersistentVolumeSource, Quobyte = *QuobyteVolumeSource, ISCSI iscsi *ISCSIPersistentVolumeSource, FlexVolume = *FlexPersistentVolumeSource, Cinder = *CinderPersistentVolumeSource, CephFS cephfs *CephFSPersistentVolumeSource, FC fc *FCVolumeSource, Flocker = *FlockerVolumeSource, AzureFile = *AzureFilePersistentVolumeSource, VsphereVolume = *VsphereVirtualDiskVolumeSource, AzureDisk = *AzureDiskVolumeSource, PhotonPersistentDisk = *PhotonPersistentDiskVolumeSource, PortworxVolume = *PortworxVolumeSource, ScaleIO = *ScaleIOPersistentVolumeSource, Local = *LocalVolumeSource, StorageOS storageos *StorageOSPersistentVolumeSource, CSI csi *CSIPersistentVolumeSource
VolumeAttachmentSpec: Attacher = s, Source = VolumeAttachmentSource, NodeName = s
VolumeAttachmentSource: PersistentVolumeName = ?, InlineVolumeSpec = *PersistentVolumeSpec
PersistentVolumeSpec: Capacity = ?, PersistentVolumeSource . +PersistentVolumeSource, AccessModes = [], ClaimRef = *ObjectReference, PersistentVolumeReclaimPolicy = s, StorageClassName = s, MountOptions = [], VolumeMode = ?, NodeAffinity = *VolumeNodeAffinity, VolumeAttributesClassName = ?
VolumeNodeAffinity: Required = *NodeSelector
GCEPersistentDiskVolumeSource: PDName pdName s, FSType fsType s, Partition = i, ReadOnly = b
AWSElasticBlockStoreVolumeSource: VolumeID = s, FSType fsType s, Partition = i, ReadOnly = b
GlusterfsPersistentVolumeSource: EndpointsName endpoints s, Path = s, ReadOnly = b, EndpointsNamespace = ?
RBDPersistentVolumeSource: CephMonitors monitors [], RBDImage image s, FSType fsType s, RBDPool pool s, RadosUser user s, Keyring = s, SecretRef = *SecretReference, ReadOnly = b
QuobyteVolumeSource: Registry = s, Volume = s, ReadOnly = b, User = s, Group = s, Tenant = s
ISCSIPersistentVolumeSource: TargetPortal = s, IQN iqn s, Lun = i, ISCSIInterface iscsiInterface s, FSType fsType s, ReadOnly = b, Portals = [], DiscoveryCHAPAuth chapAuthDiscovery b, SessionCHAPAuth chapAuthSession b, SecretRef = *SecretReference, InitiatorName = ?
FlexPersistentVolumeSource: Driver = s, FSType fsType s, SecretRef = *SecretReference, ReadOnly = b, Options = ?
CinderPersistentVolumeSource: VolumeID = s, FSType fsType s, ReadOnly = b, SecretRef = *SecretReference
CephFSPersistentVolumeSource: Monitors = [], Path = s, User = s, SecretFile = s, SecretRef = *SecretReference, ReadOnly = b
FCVolumeSource: TargetWWNs = [], Lun = ?, FSType fsType s, ReadOnly = b, WWIDs wwids []
FlockerVolumeSource: DatasetName = s, DatasetUUID = s
AzureFilePersistentVolumeSource: SecretName = s, ShareName = s, ReadOnly = b, SecretNamespace = ?
VsphereVirtualDiskVolumeSource: VolumePath = s, FSType fsType s, StoragePolicyName = s, StoragePolicyID = s
AzureDiskVolumeSource: DiskName = s, DataDiskURI diskURI s, CachingMode = ?, FSType fsType ?, ReadOnly = ?, Kind = ?
PhotonPersistentDiskVolumeSource: PdID = s, FSType fsType s
PortworxVolumeSource: VolumeID = s, FSType fsType s, ReadOnly = b
ScaleIOPersistentVolumeSource: Gateway = s, System = s, SecretRef = *SecretReference, SSLEnabled sslEnabled b, ProtectionDomain = s, StoragePool = s, StorageMode = s, VolumeName = s, FSType fsType s, ReadOnly = b
LocalVolumeSource: Path = s, FSType fsType ?
StorageOSPersistentVolumeSource: VolumeName = s, VolumeNamespace = s, FSType fsType s, ReadOnly = b, SecretRef = *ObjectReference
CSIPersistentVolumeSource: Driver = s, VolumeHandle = s, ReadOnly = b, FSType fsType s, VolumeAttributes = ?, ControllerPublishSecretRef = *SecretReference, NodeStageSecretRef = *SecretReference, NodePublishSecretRef = *SecretReference, ControllerExpandSecretRef = *SecretReference, NodeExpandSecretRef = *SecretReference
SecretReference: Name = s, Namespace = s
GitRepoVolumeSource: Repository = s, Revision = s, Directory = s
ISCSIVolumeSource: TargetPortal = s, IQN iqn s, Lun = i, ISCSIInterface iscsiInterface s, FSType fsType s, ReadOnly = b, Portals = [], DiscoveryCHAPAuth chapAuthDiscovery b, SessionCHAPAuth chapAuthSession b, SecretRef = *LocalObjectReference, InitiatorName = ?
GlusterfsVolumeSource: EndpointsName endpoints s, Path = s, ReadOnly = b
RBDVolumeSource: CephMonitors monitors [], RBDImage image s, FSType fsType s, RBDPool pool s, RadosUser user s, Keyring = s, SecretRef = *LocalObjectReference, ReadOnly = b
FlexVolumeSource: Driver = s, FSType fsType s, SecretRef = *LocalObjectReference, ReadOnly = b, Options = ?
CinderVolumeSource: VolumeID = s, FSType fsType s, ReadOnly = b, SecretRef = *LocalObjectReference
CephFSVolumeSource: Monitors = [], Path = s, User = s, SecretFile = s, SecretRef = *LocalObjectReference, ReadOnly = b
AzureFileVolumeSource: SecretName = s, ShareName = s, ReadOnly = b
ScaleIOVolumeSource: Gateway = s, System = s, SecretRef = *LocalObjectReference, SSLEnabled sslEnabled b, ProtectionDomain = s, StoragePool = s, StorageMode = s, VolumeName = s, FSType fsType s, ReadOnly = b
StorageOSVolumeSource: VolumeName = s, VolumeNamespace = s, FSType fsType s, ReadOnly = b, SecretRef = *LocalObjectReference
CSIVolumeSource: Driver = s, ReadOnly = ?, FSType fsType ?, VolumeAttributes = ?, NodePublishSecretRef = *LocalObjectReference
EphemeralVolumeSource: VolumeClaimTemplate = *PersistentVolumeClaimTemplate
ImageVolumeSource: Reference = s, PullPolicy = s
PersistentVolumeClaimTemplate: ObjectMeta metadata @, Spec = PersistentVolumeClaimSpec
ClusterTrustBundleProjection: Name = ?, SignerName = ?, LabelSelector = &, Optional = ?, Path = s
PodCertificateProjection: SignerName = s, KeyType = s, MaxExpirationSeconds = ?, CredentialBundlePath = s, KeyPath = s, CertificateChainPath = s, UserAnnotations = ?
DeviceConstraint: Requests = [], MatchAttribute = ?, DistinctAttribute = ?
DeviceClaimConfiguration: Requests = [], Opaque = *OpaqueDeviceConfiguration
DeviceSubRequest: Name = s, DeviceClassName = s, Selectors = []DeviceSelector, AllocationMode = s, Count = i, Tolerations = []DeviceToleration, Capacity = *CapacityRequirements
DeviceSelector: CEL cel *CELDeviceSelector
DeviceToleration: Key = s, Operator = s, Value = s, Effect = s, TolerationSeconds = ?
CapacityRequirements: Requests = ?
CELDeviceSelector: Expression = s
AllocationResult: Devices = DeviceAllocationResult, NodeSelector = *NodeSelector, AllocationTimestamp = ?
DeviceAllocationResult: Results = []DeviceRequestAllocationResult, Config = []DeviceAllocationConfiguration
DeviceRequestAllocationResult: Request = s, Driver = s, Pool = s, Device = s, AdminAccess = ?, Tolerations = []DeviceToleration, BindingConditions = [], BindingFailureConditions = [], ShareID shareID ?, ConsumedCapacity = ?
DeviceAllocationConfiguration: Source = s, Requests = [], Opaque = *OpaqueDeviceConfiguration
OpaqueDeviceConfiguration: Driver = s, Parameters = ?
";

pub(super) fn layout(name: &str) -> Option<&'static [Field]> {
    static PARSED: LazyLock<HashMap<&str, Vec<Field>>> = LazyLock::new(|| {
        LAYOUTS
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, fields)| (name, fields.split(", ").filter_map(field).collect()))
            .collect()
    });
    PARSED.get(name).map(Vec::as_slice)
}

fn field(text: &'static str) -> Option<Field> {
    let mut words = text.split(' ');
    let (name, json, ty) = (words.next()?, words.next()?, words.next()?);
    let json = match json {
        "=" => small(name),
        "." => "",
        json => json,
    };
    Some(Field { name, json, ty: parse_type(ty) })
}

/// Called once for each field of the table above.
fn small(name: &'static str) -> &'static str {
    let mut out = name.to_owned();
    out[..1].make_ascii_lowercase();
    out.leak()
}

fn parse_type(text: &'static str) -> Type {
    match text {
        "s" => Type::Text,
        "i" => Type::Number,
        "b" => Type::Bool,
        "@" => Type::Metadata,
        "&" => Type::Selector,
        "?" => Type::Any,
        _ => {
            let prefixes: [(&str, fn(&'static str) -> Type); 3] =
                [("[]", Type::List), ("*", Type::Pointer), ("+", Type::Embedded)];
            let found = prefixes.iter().find_map(|(prefix, make)| text.strip_prefix(prefix).map(make));
            found.unwrap_or(Type::Struct(text))
        }
    }
}
