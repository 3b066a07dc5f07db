//! EC2, through aws-sdk-ec2: on LocalStack or for real
