module example.com/shop

go 1.20

require (
	github.com/aws/aws-sdk-go-v2 v1.30.0
	github.com/aws/aws-sdk-go-v2/config v1.27.22
	github.com/aws/aws-sdk-go-v2/service/ec2 v1.167.0
)
