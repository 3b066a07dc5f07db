//! The functions of the libraries that Kubernetes turns on. All in the notation of [`super::notation`].

/// Optional values: `optional.of(x)`, `x.?y`, `l[?0]`.
pub(super) const OPTIONALS: &str = "
optional.of
  optional_of (V) -> optional_type(V)
optional.ofNonZeroValue
  optional_ofNonZeroValue (V) -> optional_type(V)
optional.none
  optional_none () -> optional_type(V)
value
  optional_value optional_type(V).() -> V
hasValue
  optional_hasValue optional_type(V).() -> bool
or
  optional_or_optional optional_type(V).(optional_type(V)) -> optional_type(V)
orValue
  optional_orValue_value optional_type(V).(V) -> V
_?._
  select_optional_field (dyn, string) -> optional_type(V)
_[?_]
  list_optindex_optional_int (list(V), int) -> optional_type(V)
  optional_list_optindex_optional_int (optional_type(list(V)), int) -> optional_type(V)
  map_optindex_optional_value (map(K, V), K) -> optional_type(V)
  optional_map_optindex_optional_value (optional_type(map(K, V)), K) -> optional_type(V)
_[_]
  optional_list_index_int (optional_type(list(V)), int) -> optional_type(V)
  optional_map_index_value (optional_type(map(K, V)), K) -> optional_type(V)
last
  list_last list(V).() -> optional_type(V)
first
  list_first list(V).() -> optional_type(V)
optional.unwrap
  optional_unwrap (list(optional_type(V))) -> list(V)
unwrapOpt
  optional_unwrapOpt list(optional_type(V)).() -> list(V)
";

/// Strings, in the second version of the library.
pub(super) const STRINGS: &str = "
charAt
  string_char_at_int string.(int) -> string
indexOf
  string_index_of_string string.(string) -> int
  string_index_of_string_int string.(string, int) -> int
lastIndexOf
  string_last_index_of_string string.(string) -> int
  string_last_index_of_string_int string.(string, int) -> int
lowerAscii
  string_lower_ascii string.() -> string
replace
  string_replace_string_string string.(string, string) -> string
  string_replace_string_string_int string.(string, string, int) -> string
split
  string_split_string string.(string) -> list(string)
  string_split_string_int string.(string, int) -> list(string)
substring
  string_substring_int string.(int) -> string
  string_substring_int_int string.(int, int) -> string
trim
  string_trim string.() -> string
upperAscii
  string_upper_ascii string.() -> string
format
  string_format string.(list(dyn)) -> string
strings.quote
  strings_quote (string) -> string
join
  list_join list(string).() -> string
  list_join_string list(string).(string) -> string
";

pub(super) const SETS: &str = "
sets.contains
  list_sets_contains_list (list(T), list(T)) -> bool
sets.equivalent
  list_sets_equivalent_list (list(T), list(T)) -> bool
sets.intersects
  list_sets_intersects_list (list(T), list(T)) -> bool
";

/// What macros of two variables expand to.
pub(super) const TWO_VARIABLES: &str = "
cel.@mapInsert
  @mapInsert_map_key_value (map(K, V), K, V) -> map(K, V)
  @mapInsert_map_map (map(K, V), map(K, V)) -> map(K, V)
";

/// CEL's own list library in its third version.
pub(super) const LISTS_EXTENDED: &str = "
slice
  list_slice list(T).(int, int) -> list(T)
flatten
  list_flatten list(list(T)).() -> list(T)
  list_flatten_int list(dyn).(int) -> list(dyn)
sort
  list_int_sort list(int).() -> list(int)
  list_uint_sort list(uint).() -> list(uint)
  list_double_sort list(double).() -> list(double)
  list_bool_sort list(bool).() -> list(bool)
  list_google.protobuf.Duration_sort list(duration).() -> list(duration)
  list_google.protobuf.Timestamp_sort list(timestamp).() -> list(timestamp)
  list_string_sort list(string).() -> list(string)
  list_bytes_sort list(bytes).() -> list(bytes)
@sortByAssociatedKeys
  list_int_sortByAssociatedKeys list(T).(list(int)) -> list(T)
  list_uint_sortByAssociatedKeys list(T).(list(uint)) -> list(T)
  list_double_sortByAssociatedKeys list(T).(list(double)) -> list(T)
  list_bool_sortByAssociatedKeys list(T).(list(bool)) -> list(T)
  list_google.protobuf.Duration_sortByAssociatedKeys list(T).(list(duration)) -> list(T)
  list_google.protobuf.Timestamp_sortByAssociatedKeys list(T).(list(timestamp)) -> list(T)
  list_string_sortByAssociatedKeys list(T).(list(string)) -> list(T)
  list_bytes_sortByAssociatedKeys list(T).(list(bytes)) -> list(T)
lists.range
  lists_range (int) -> list(int)
reverse
  list_reverse list(T).() -> list(T)
distinct
  list_distinct list(T).() -> list(T)
";

/// Kubernetes' list library.
pub(super) const LISTS: &str = "
isSorted
  list_int_is_sorted_bool list(int).() -> bool
  list_uint_is_sorted_bool list(uint).() -> bool
  list_double_is_sorted_bool list(double).() -> bool
  list_bool_is_sorted_bool list(bool).() -> bool
  list_duration_is_sorted_bool list(duration).() -> bool
  list_timestamp_is_sorted_bool list(timestamp).() -> bool
  list_string_is_sorted_bool list(string).() -> bool
  list_bytes_is_sorted_bool list(bytes).() -> bool
sum
  list_int_sum_int list(int).() -> int
  list_uint_sum_uint list(uint).() -> uint
  list_double_sum_double list(double).() -> double
  list_duration_sum_duration list(duration).() -> duration
max
  list_int_max_int list(int).() -> int
  list_uint_max_uint list(uint).() -> uint
  list_double_max_double list(double).() -> double
  list_bool_max_bool list(bool).() -> bool
  list_duration_max_duration list(duration).() -> duration
  list_timestamp_max_timestamp list(timestamp).() -> timestamp
  list_string_max_string list(string).() -> string
  list_bytes_max_bytes list(bytes).() -> bytes
min
  list_int_min_int list(int).() -> int
  list_uint_min_uint list(uint).() -> uint
  list_double_min_double list(double).() -> double
  list_bool_min_bool list(bool).() -> bool
  list_duration_min_duration list(duration).() -> duration
  list_timestamp_min_timestamp list(timestamp).() -> timestamp
  list_string_min_string list(string).() -> string
  list_bytes_min_bytes list(bytes).() -> bytes
indexOf
  list_a_index_of_int list(A).(A) -> int
lastIndexOf
  list_a_last_index_of_int list(A).(A) -> int
";

pub(super) const URLS: &str = "
url
  string_to_url (string) -> kubernetes.URL
getScheme
  url_get_scheme kubernetes.URL.() -> string
getHost
  url_get_host kubernetes.URL.() -> string
getHostname
  url_get_hostname kubernetes.URL.() -> string
getPort
  url_get_port kubernetes.URL.() -> string
getEscapedPath
  url_get_escaped_path kubernetes.URL.() -> string
getQuery
  url_get_query kubernetes.URL.() -> map(string, list(string))
isURL
  is_url_string (string) -> bool
";

pub(super) const REGEX: &str = "
find
  string_find_string string.(string) -> string
findAll
  string_find_all_string string.(string) -> list(string)
  string_find_all_string_int string.(string, int) -> list(string)
";

/// `sign` is no member upstream either.
pub(super) const QUANTITY: &str = "
quantity
  string_to_quantity (string) -> kubernetes.Quantity
isQuantity
  is_quantity_string (string) -> bool
sign
  quantity_sign (kubernetes.Quantity) -> int
isGreaterThan
  quantity_is_greater_than kubernetes.Quantity.(kubernetes.Quantity) -> bool
isLessThan
  quantity_is_less_than kubernetes.Quantity.(kubernetes.Quantity) -> bool
compareTo
  quantity_compare_to kubernetes.Quantity.(kubernetes.Quantity) -> int
asApproximateFloat
  quantity_get_float kubernetes.Quantity.() -> double
asInteger
  quantity_get_int kubernetes.Quantity.() -> int
isInteger
  quantity_is_integer kubernetes.Quantity.() -> bool
add
  quantity_add kubernetes.Quantity.(kubernetes.Quantity) -> kubernetes.Quantity
  quantity_add_int kubernetes.Quantity.(int) -> kubernetes.Quantity
sub
  quantity_sub kubernetes.Quantity.(kubernetes.Quantity) -> kubernetes.Quantity
  quantity_sub_int kubernetes.Quantity.(int) -> kubernetes.Quantity
";

pub(super) const IP: &str = "
ip
  string_to_ip (string) -> net.IP
family
  ip_family net.IP.() -> int
ip.isCanonical
  ip_is_canonical (string) -> bool
isUnspecified
  ip_is_unspecified net.IP.() -> bool
isLoopback
  ip_is_loopback net.IP.() -> bool
isLinkLocalMulticast
  ip_is_link_local_multicast net.IP.() -> bool
isLinkLocalUnicast
  ip_is_link_local_unicast net.IP.() -> bool
isGlobalUnicast
  ip_is_global_unicast net.IP.() -> bool
isIP
  is_ip (string) -> bool
string
  ip_to_string (net.IP) -> string
";

pub(super) const CIDR: &str = "
cidr
  string_to_cidr (string) -> net.CIDR
containsIP
  cidr_contains_ip_string net.CIDR.(string) -> bool
  cidr_contains_ip_ip net.CIDR.(net.IP) -> bool
containsCIDR
  cidr_contains_cidr_string net.CIDR.(string) -> bool
  cidr_contains_cidr net.CIDR.(net.CIDR) -> bool
ip
  cidr_ip net.CIDR.() -> net.IP
prefixLength
  cidr_prefix_length net.CIDR.() -> int
masked
  cidr_masked net.CIDR.() -> net.CIDR
isCIDR
  is_cidr (string) -> bool
string
  cidr_to_string (net.CIDR) -> string
";

pub(super) const FORMAT: &str = "
validate
  format-validate kubernetes.NamedFormat.(string) -> optional_type(list(string))
format.named
  format-named (string) -> optional_type(kubernetes.NamedFormat)
format.dns1123Label
  format.dns1123Label () -> kubernetes.NamedFormat
format.dns1123Subdomain
  format.dns1123Subdomain () -> kubernetes.NamedFormat
format.dns1035Label
  format.dns1035Label () -> kubernetes.NamedFormat
format.qualifiedName
  format.qualifiedName () -> kubernetes.NamedFormat
format.dns1123LabelPrefix
  format.dns1123LabelPrefix () -> kubernetes.NamedFormat
format.dns1123SubdomainPrefix
  format.dns1123SubdomainPrefix () -> kubernetes.NamedFormat
format.dns1035LabelPrefix
  format.dns1035LabelPrefix () -> kubernetes.NamedFormat
format.labelValue
  format.labelValue () -> kubernetes.NamedFormat
format.uri
  format.uri () -> kubernetes.NamedFormat
format.uuid
  format.uuid () -> kubernetes.NamedFormat
format.byte
  format.byte () -> kubernetes.NamedFormat
format.date
  format.date () -> kubernetes.NamedFormat
format.datetime
  format.datetime () -> kubernetes.NamedFormat
";

pub(super) const SEMVER: &str = "
semver
  string_to_semver (string) -> kubernetes.Semver
  string_bool_to_semver (string, bool) -> kubernetes.Semver
isSemver
  is_semver_string (string) -> bool
  is_semver_string_bool (string, bool) -> bool
isGreaterThan
  semver_is_greater_than kubernetes.Semver.(kubernetes.Semver) -> bool
isLessThan
  semver_is_less_than kubernetes.Semver.(kubernetes.Semver) -> bool
compareTo
  semver_compare_to kubernetes.Semver.(kubernetes.Semver) -> int
major
  semver_major kubernetes.Semver.() -> int
minor
  semver_minor kubernetes.Semver.() -> int
patch
  semver_patch kubernetes.Semver.() -> int
";

pub(super) const AUTHORIZER: &str = "
path
  authorizer_path kubernetes.authorization.Authorizer.(string) -> kubernetes.authorization.PathCheck
group
  authorizer_group kubernetes.authorization.Authorizer.(string) -> kubernetes.authorization.GroupCheck
serviceAccount
  authorizer_serviceaccount kubernetes.authorization.Authorizer.(string, string) -> kubernetes.authorization.Authorizer
resource
  groupcheck_resource kubernetes.authorization.GroupCheck.(string) -> kubernetes.authorization.ResourceCheck
subresource
  resourcecheck_subresource kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck
namespace
  resourcecheck_namespace kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck
name
  resourcecheck_name kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck
check
  pathcheck_check kubernetes.authorization.PathCheck.(string) -> kubernetes.authorization.Decision
  resourcecheck_check kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.Decision
errored
  decision_errored kubernetes.authorization.Decision.() -> bool
error
  decision_error kubernetes.authorization.Decision.() -> string
allowed
  decision_allowed kubernetes.authorization.Decision.() -> bool
reason
  decision_reason kubernetes.authorization.Decision.() -> string
fieldSelector
  authorizer_fieldselector kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck
labelSelector
  authorizer_labelselector kubernetes.authorization.ResourceCheck.(string) -> kubernetes.authorization.ResourceCheck
";

/// Only where patches are made.
pub(super) const JSON_PATCH: &str = "
jsonpatch.escapeKey
  string_jsonpatch_escapeKey_string (string) -> string
";
