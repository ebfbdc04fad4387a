//! What is only read, by the real `aws`: RDS, ACM, `CloudFormation`, ECR, S3.

use super::{cli::aws, world};

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_cli_looks_at_database_certificates_and_stack() {
    let world = world(&[]).await;
    let aws = aws(&world);
    let database = aws.json("rds describe-db-instances --db-instance-identifier shop").await["DBInstances"][0].clone();
    assert_eq!(
        (&database["DBInstanceStatus"], &database["MultiAZ"]),
        (&"available".into(), &true.into()),
        "{database}"
    );
    assert_eq!(database["DBParameterGroups"][0]["ParameterApplyStatus"], "in-sync");
    let cluster = aws.json("rds describe-db-clusters").await["DBClusters"][0].clone();
    assert_eq!(cluster["DBClusterMembers"].as_array().unwrap().len(), 2, "{cluster}");
    let filter = "rds describe-db-instances --filters Name=db-cluster-id,Values=shop-analytics";
    assert_eq!(aws.json(filter).await["DBInstances"].as_array().unwrap().len(), 2);
    let pending = aws.json("rds describe-pending-maintenance-actions").await;
    assert!(pending["PendingMaintenanceActions"][0]["ResourceIdentifier"].as_str().unwrap().ends_with(":db:shop"));
    assert!(
        aws.refused("rds describe-db-instances --db-instance-identifier nope").await.contains("(DBInstanceNotFound)")
    );
    let listed = aws.json("acm list-certificates --includes keyTypes=RSA_2048,EC_prime256v1 --page-size 1").await;
    assert_eq!(listed["CertificateSummaryList"].as_array().unwrap().len(), 3, "the pages join up: {listed}");
    let arn = listed["CertificateSummaryList"][0]["CertificateArn"].as_str().unwrap().to_owned();
    let one = aws.json(&format!("acm describe-certificate --certificate-arn {arn}")).await;
    assert_eq!(one["Certificate"]["Status"], "ISSUED");
    let stack = aws.json("cloudformation describe-stacks --stack-name acme-shop").await["Stacks"][0].clone();
    assert_eq!(stack["DriftInformation"]["StackDriftStatus"], "IN_SYNC", "{stack}");
    let started = aws.json("cloudformation detect-stack-drift --stack-name acme-shop").await;
    let id = started["StackDriftDetectionId"].as_str().unwrap();
    let status = format!("cloudformation describe-stack-drift-detection-status --stack-drift-detection-id {id}");
    assert!(aws.json(&status).await["DetectionStatus"].as_str().unwrap().starts_with("DETECTION_"));
    let drifts = aws.json("cloudformation describe-stack-resource-drifts --stack-name acme-shop --max-results 2").await;
    assert_eq!(drifts["StackResourceDrifts"].as_array().unwrap().len(), 2, "{drifts}");
    let missing = aws.refused("cloudformation describe-stacks --stack-name nope").await;
    assert!(missing.contains("Stack with id nope does not exist"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_cli_looks_at_images_and_buckets() {
    let world = world(&[]).await;
    let aws = aws(&world);
    let image = aws.json("ecr describe-images --repository-name acme/web --image-ids imageTag=2026-12-05").await;
    let digest = image["imageDetails"][0]["imageDigest"].as_str().unwrap().to_owned();
    let all = aws.json("ecr describe-images --repository-name acme/web --page-size 2").await;
    assert_eq!(all["imageDetails"].as_array().unwrap().len(), 6, "the pages join up");
    let got =
        aws.json(&format!("ecr batch-get-image --repository-name acme/web --image-ids imageDigest={digest}")).await;
    assert!(got["images"][0]["imageManifest"].as_str().unwrap().contains("arm64"));
    let missing = aws.refused("ecr describe-images --repository-name acme/web --image-ids imageTag=nope").await;
    assert!(missing.contains("(ImageNotFoundException)"), "{missing}");
    let scan =
        aws.json("ecr describe-image-scan-findings --repository-name acme/worker --image-id imageTag=latest").await;
    assert_eq!(scan["imageScanStatus"]["status"], "COMPLETE");
    assert_eq!(aws.json("ecr describe-repositories").await["repositories"].as_array().unwrap().len(), 2);
    // The old bucket is in another region: the CLI follows S3's answer there.
    let old = aws.ok("s3 ls --recursive s3://acme-uploads-old/").await;
    assert_eq!(old.lines().count(), 1244, "{old:.300}");
    assert!(old.contains("exports/2026 Q3/Umsätze + Steuer & mehr.csv"), "{old:.300}");
    let folders = aws.ok("s3 ls s3://acme-uploads/").await;
    assert!(folders.contains("PRE exports/") && folders.contains("PRE videos/"), "{folders}");
    let head =
        aws.json("s3api head-object --bucket acme-uploads --key videos/product-1.mp4 --checksum-mode ENABLED").await;
    assert!(head["ChecksumCRC64NVME"].is_string() && head["ETag"].as_str().unwrap().ends_with("-2\""), "{head}");
    let sum = "s3api get-object-attributes --bucket acme-uploads --key uploads/00001.jpg --object-attributes Checksum ObjectSize";
    assert_eq!(aws.json(sum).await["ObjectSize"], 8919);
    let missing = aws.refused("s3api list-objects-v2 --bucket acme-nobody").await;
    assert!(missing.contains("(NoSuchBucket)"), "{missing}");
}
