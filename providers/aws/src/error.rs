//! EC2's errors as kinds. Codes are those of the EC2 API reference, "Error codes".

use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use drydock_cloud_api::{CloudError, CloudErrorKind};
use drydock_runtime::tasks::chain;

/// An SDK error as the seam has it.
pub(crate) fn map<E>(operation: &'static str) -> impl Fn(SdkError<E, HttpResponse>) -> CloudError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    move |error| {
        let kind = kind_of(&error);
        let message = match &error {
            SdkError::ServiceError(service) => {
                let (meta, status) = (service.err().meta(), service.raw().status().as_u16());
                match meta.code().filter(|code| !code.is_empty()) {
                    Some(code) => format!("{code}: {}", meta.message().unwrap_or("no message")),
                    None => format!("the endpoint answered with HTTP status {status} and no error of EC2's"),
                }
            }
            other => chain(other),
        };
        CloudError::new(kind, operation, message)
    }
}

/// EC2's own code of an error, "" when it is none of EC2's.
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> &str {
    error.as_service_error().and_then(|error| error.meta().code()).unwrap_or("")
}

fn kind_of<E>(error: &SdkError<E, HttpResponse>) -> CloudErrorKind
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let meta = service.err().meta();
            by_code(meta.code().unwrap_or(""), meta.message().unwrap_or(""), service.raw().status().as_u16())
        }
        SdkError::ResponseError(_) => CloudErrorKind::Internal,
        other if chain(other).to_ascii_lowercase().contains("credentials") => CloudErrorKind::Unauthorized,
        SdkError::ConstructionFailure(_) => CloudErrorKind::InvalidRequest,
        _ => CloudErrorKind::Unreachable,
    }
}

pub(crate) fn by_code(code: &str, message: &str, status: u16) -> CloudErrorKind {
    use CloudErrorKind as Kind;
    match code {
        "RequestLimitExceeded" | "Throttling" | "ThrottlingException" | "RequestThrottled" | "SlowDown"
        | "EC2ThrottledException" => Kind::Throttled,
        "InsufficientInstanceCapacity" | "InsufficientHostCapacity" | "InsufficientCapacity"
        | "InsufficientFreeAddressesInSubnet" | "InsufficientReservedInstanceCapacity" | "SpotMaxPriceTooLow"
        | "SpotInstanceTermination"
        // The type is not offered in this zone.
        | "Unsupported" => Kind::InsufficientCapacity,
        "AuthFailure" | "UnauthorizedOperation" | "InvalidClientTokenId" | "SignatureDoesNotMatch" | "ExpiredToken"
        | "RequestExpired" | "AccessDenied" | "AccessDeniedException" | "OptInRequired" | "Blocked"
        | "PendingVerification" | "UnrecognizedClientException" | "InvalidAccessKeyId" => Kind::Unauthorized,
        "DependencyViolation" | "InvalidGroup.InUse" | "ResourceInUse" | "IncorrectInstanceState"
        | "ConcurrentTagAccess" => Kind::InUse,
        "InternalFailure" if message.contains("not been implemented") || message.contains("not yet implemented") => {
            Kind::Unsupported
        }
        // Made a moment ago, by a call whose answer was lost, and not yet to be seen: it will be.
        _ if code.ends_with(".Duplicate") || code.ends_with("AlreadyExistsException") => Kind::InUse,
        "UnsupportedOperation" | "InvalidAction" | "NotImplemented" => Kind::Unsupported,
        _ if code.contains("NotFound") => Kind::NotFound,
        _ if code.ends_with("LimitExceeded") || code == "MaxSpotInstanceCountExceeded" => Kind::QuotaExceeded,
        // Somebody answers, but it is not EC2: another program on the port, a proxy.
        "" if status == 501 || status < 500 && !matches!(status, 401 | 403 | 429) => Kind::Unreachable,
        _ if status == 501 => Kind::Unsupported,
        _ if status >= 500 => Kind::Internal,
        "InternalError" | "InternalFailure" | "Unavailable" | "ServiceUnavailable" | "InternalServerError" => {
            Kind::Internal
        }
        _ if status == 429 => Kind::Throttled,
        _ if status == 401 || status == 403 => Kind::Unauthorized,
        _ => Kind::InvalidRequest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_kinds() {
        use CloudErrorKind::*;
        let cases = [
            ("RequestLimitExceeded", 503, Throttled),
            ("InsufficientInstanceCapacity", 500, InsufficientCapacity),
            ("Unsupported", 400, InsufficientCapacity),
            ("VcpuLimitExceeded", 400, QuotaExceeded),
            ("InstanceLimitExceeded", 400, QuotaExceeded),
            ("UnauthorizedOperation", 403, Unauthorized),
            ("DependencyViolation", 400, InUse),
            ("InvalidInstanceID.NotFound", 400, NotFound),
            ("InvalidLaunchTemplateName.NotFoundException", 400, NotFound),
            ("InvalidParameterValue", 400, InvalidRequest),
            ("InternalError", 500, Internal),
            ("Whatever", 503, Internal),
            ("", 429, Throttled),
            ("", 403, Unauthorized),
            ("", 404, Unreachable),
            ("", 501, Unreachable),
            ("InternalFailure", 501, Unsupported),
            ("InvalidGroup.Duplicate", 400, InUse),
            ("InvalidLaunchTemplateName.AlreadyExistsException", 400, InUse),
        ];
        for (code, status, kind) in cases {
            assert_eq!(by_code(code, "", status), kind, "{code} {status}");
        }
    }
}
