package shop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

var (
	ctx     = context.Background()
	client  *ec2.Client
	network Network
)

func TestMain(m *testing.M) {
	// Without `gureum run` this would build a network, and leave it, on AWS.
	endpoint := os.Getenv("AWS_ENDPOINT_URL")
	if endpoint == "" {
		exit("AWS_ENDPOINT_URL is not set; run: gureum run -- go test ./...")
	}
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		exit(err)
	}
	// SDKs since November 2023 read the variable themselves; those of distributions are older.
	resolver := ec2.WithEndpointResolver(ec2.EndpointResolverFromURL(endpoint))
	client = ec2.NewFromConfig(settings, resolver)
	if network, err = Build(ctx, client); err != nil {
		exit(err)
	}
	os.Exit(m.Run())
}

func exit(why any) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(1)
}

// check is `gureum check` with what it says.
func check(arguments ...string) (string, error) {
	said, err := exec.Command("gureum", append([]string{"check"}, arguments...)...).CombinedOutput()
	return string(said), err
}

// reaches asks Reachability Analyzer, as one would on AWS.
func reaches(t *testing.T, from, to string, port int32) bool {
	t.Helper()
	path, err := client.CreateNetworkInsightsPath(ctx, &ec2.CreateNetworkInsightsPathInput{
		Source:          aws.String(from),
		Destination:     aws.String(to),
		DestinationPort: aws.Int32(port),
		Protocol:        types.ProtocolTcp,
	})
	if err != nil {
		t.Fatal(err)
	}
	started, err := client.StartNetworkInsightsAnalysis(ctx, &ec2.StartNetworkInsightsAnalysisInput{
		NetworkInsightsPathId: path.NetworkInsightsPath.NetworkInsightsPathId,
	})
	if err != nil {
		t.Fatal(err)
	}
	id := *started.NetworkInsightsAnalysis.NetworkInsightsAnalysisId
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Second / 10) {
		found, err := client.DescribeNetworkInsightsAnalyses(ctx, &ec2.DescribeNetworkInsightsAnalysesInput{
			NetworkInsightsAnalysisIds: []string{id},
		})
		if err != nil {
			t.Fatal(err)
		}
		switch it := found.NetworkInsightsAnalyses[0]; it.Status {
		case types.AnalysisStatusSucceeded:
			return *it.NetworkPathFound
		case types.AnalysisStatusFailed:
			t.Fatal(aws.ToString(it.StatusMessage))
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not done after a minute", id)
		}
	}
}

func TestOnlyTheWebServerHasAPublicAddress(t *testing.T) {
	found, err := client.DescribeInstances(ctx, &ec2.DescribeInstancesInput{
		Filters: []types.Filter{{Name: aws.String("vpc-id"), Values: []string{network.VPC}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var public []string
	for _, reservation := range found.Reservations {
		for _, instance := range reservation.Instances {
			if instance.PublicIpAddress != nil {
				public = append(public, *instance.InstanceId)
			}
		}
	}
	if len(public) != 1 || public[0] != network.Web {
		t.Errorf("%v have public addresses, expected %v alone", public, network.Web)
	}
}

func TestPathsOfReachabilityAnalyzer(t *testing.T) {
	for _, it := range []struct {
		name     string
		from, to string
		port     int32
		expected bool
	}{
		{"customers reach the shop", network.Gateway, network.Web, 443, true},
		{"and not over SSH", network.Gateway, network.Web, 22, false},
		{"the shop reaches its database", network.Web, network.DB, 5432, true},
		{"customers do not", network.Gateway, network.DB, 5432, false},
	} {
		t.Run(it.name, func(t *testing.T) {
			if found := reaches(t, it.from, it.to, it.port); found != it.expected {
				t.Errorf("path found: %v, expected %v", found, it.expected)
			}
		})
	}
}

func TestTheNetworkLetsThroughWhatIsExpected(t *testing.T) {
	if said, err := check("expectations.yaml", "--quiet"); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}

func TestARuleTooManyIsFound(t *testing.T) {
	rule := []types.IpPermission{{
		IpProtocol: aws.String("tcp"),
		FromPort:   aws.Int32(22),
		ToPort:     aws.Int32(22),
		IpRanges:   []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}},
	}}
	_, err := client.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{
		GroupId:       aws.String(network.WebGroup),
		IpPermissions: rule,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := client.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{
			GroupId:       aws.String(network.WebGroup),
			IpPermissions: rule,
		})
		if err != nil {
			t.Error(err)
		}
	})
	said, err := check("expectations.yaml", "--quiet")
	if err == nil {
		t.Fatal("gureum check found nothing")
	}
	if !strings.Contains(said, "tcp 22 from internet to shop-web-1") {
		t.Errorf("said nothing of the port:\n%s", said)
	}
}
