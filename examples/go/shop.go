// Package shop builds the network of a small shop: a web server that anybody reaches, a database
// that only the web server reaches.
package shop

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// Network is what Build made, by id.
type Network struct {
	VPC, Gateway, WebGroup, DBGroup, Web, DB string
}

// Build builds the network, and waits until its instances run.
func Build(ctx context.Context, client *ec2.Client) (Network, error) {
	b := builder{ctx: ctx, client: client}
	n := b.network()
	if b.err != nil {
		return n, b.err
	}
	running := ec2.NewInstanceRunningWaiter(client, func(o *ec2.InstanceRunningWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Second, time.Second
	})
	ids := &ec2.DescribeInstancesInput{InstanceIds: []string{n.Web, n.DB}}
	return n, running.Wait(ctx, ids, time.Minute)
}

// builder makes one thing after another, and nothing more once something failed.
type builder struct {
	ctx    context.Context
	client *ec2.Client
	err    error
}

func (b *builder) network() (n Network) {
	n.VPC = b.vpc("shop", "10.20.0.0/16")
	n.Gateway = b.internetGateway(n.VPC)
	webSubnet := b.subnet(n.VPC, "shop-web", "10.20.0.0/24")
	dbSubnet := b.subnet(n.VPC, "shop-db", "10.20.1.0/24")
	b.defaultRoute(n.VPC, n.Gateway, webSubnet)

	n.WebGroup = b.group(n.VPC, "web", types.IpPermission{
		FromPort: aws.Int32(443),
		ToPort:   aws.Int32(443),
		IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}},
	})
	n.DBGroup = b.group(n.VPC, "db", types.IpPermission{
		FromPort:         aws.Int32(5432),
		ToPort:           aws.Int32(5432),
		UserIdGroupPairs: []types.UserIdGroupPair{{GroupId: aws.String(n.WebGroup)}},
	})
	image := b.image("amzn2-ami-hvm-*-x86_64-gp2")
	n.Web = b.instance("shop-web-1", image, webSubnet, n.WebGroup, true)
	n.DB = b.instance("shop-db-1", image, dbSubnet, n.DBGroup, false)
	return n
}

func (b *builder) failed(doing string, err error) bool {
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("%s: %w", doing, err)
	}
	return b.err != nil
}

func (b *builder) vpc(name, block string) string {
	if b.err != nil {
		return ""
	}
	made, err := b.client.CreateVpc(b.ctx, &ec2.CreateVpcInput{
		CidrBlock:         aws.String(block),
		TagSpecifications: named(types.ResourceTypeVpc, name),
	})
	if b.failed("create the VPC", err) {
		return ""
	}
	return *made.Vpc.VpcId
}

func (b *builder) internetGateway(vpc string) string {
	if b.err != nil {
		return ""
	}
	made, err := b.client.CreateInternetGateway(b.ctx, &ec2.CreateInternetGatewayInput{})
	if b.failed("create the internet gateway", err) {
		return ""
	}
	id := made.InternetGateway.InternetGatewayId
	_, err = b.client.AttachInternetGateway(b.ctx, &ec2.AttachInternetGatewayInput{
		InternetGatewayId: id,
		VpcId:             aws.String(vpc),
	})
	b.failed("attach the internet gateway", err)
	return *id
}

func (b *builder) subnet(vpc, name, block string) string {
	if b.err != nil {
		return ""
	}
	made, err := b.client.CreateSubnet(b.ctx, &ec2.CreateSubnetInput{
		VpcId:             aws.String(vpc),
		CidrBlock:         aws.String(block),
		TagSpecifications: named(types.ResourceTypeSubnet, name),
	})
	if b.failed("create the subnet "+name, err) {
		return ""
	}
	return *made.Subnet.SubnetId
}

// defaultRoute gives a subnet a route table that leads to the internet.
func (b *builder) defaultRoute(vpc, gateway, subnet string) {
	if b.err != nil {
		return
	}
	made, err := b.client.CreateRouteTable(b.ctx, &ec2.CreateRouteTableInput{VpcId: aws.String(vpc)})
	if b.failed("create the route table", err) {
		return
	}
	table := made.RouteTable.RouteTableId
	_, err = b.client.CreateRoute(b.ctx, &ec2.CreateRouteInput{
		RouteTableId:         table,
		DestinationCidrBlock: aws.String("0.0.0.0/0"),
		GatewayId:            aws.String(gateway),
	})
	if b.failed("create the default route", err) {
		return
	}
	_, err = b.client.AssociateRouteTable(b.ctx, &ec2.AssociateRouteTableInput{
		RouteTableId: table,
		SubnetId:     aws.String(subnet),
	})
	b.failed("associate the route table", err)
}

// group makes a security group that admits TCP by one rule.
func (b *builder) group(vpc, name string, rule types.IpPermission) string {
	if b.err != nil {
		return ""
	}
	made, err := b.client.CreateSecurityGroup(b.ctx, &ec2.CreateSecurityGroupInput{
		VpcId:       aws.String(vpc),
		GroupName:   aws.String(name),
		Description: aws.String(name),
	})
	if b.failed("create the security group "+name, err) {
		return ""
	}
	rule.IpProtocol = aws.String("tcp")
	_, err = b.client.AuthorizeSecurityGroupIngress(b.ctx, &ec2.AuthorizeSecurityGroupIngressInput{
		GroupId:       made.GroupId,
		IpPermissions: []types.IpPermission{rule},
	})
	b.failed("admit what the security group "+name+" is for", err)
	return *made.GroupId
}

// image finds Amazon's newest image whose name fits a pattern.
func (b *builder) image(pattern string) string {
	if b.err != nil {
		return ""
	}
	found, err := b.client.DescribeImages(b.ctx, &ec2.DescribeImagesInput{
		Owners:  []string{"amazon"},
		Filters: []types.Filter{{Name: aws.String("name"), Values: []string{pattern}}},
	})
	if b.failed("find an image", err) {
		return ""
	}
	var newest types.Image
	for _, image := range found.Images {
		if aws.ToString(image.CreationDate) > aws.ToString(newest.CreationDate) {
			newest = image
		}
	}
	if newest.ImageId == nil {
		b.failed("find an image", fmt.Errorf("none is called %s", pattern))
	}
	return aws.ToString(newest.ImageId)
}

func (b *builder) instance(name, image, subnet, group string, public bool) string {
	if b.err != nil {
		return ""
	}
	made, err := b.client.RunInstances(b.ctx, &ec2.RunInstancesInput{
		ImageId:      aws.String(image),
		InstanceType: types.InstanceTypeT3Micro,
		MinCount:     aws.Int32(1),
		MaxCount:     aws.Int32(1),
		NetworkInterfaces: []types.InstanceNetworkInterfaceSpecification{{
			DeviceIndex:              aws.Int32(0),
			SubnetId:                 aws.String(subnet),
			Groups:                   []string{group},
			AssociatePublicIpAddress: aws.Bool(public),
		}},
		TagSpecifications: named(types.ResourceTypeInstance, name),
	})
	if b.failed("launch "+name, err) {
		return ""
	}
	return *made.Instances[0].InstanceId
}

func named(kind types.ResourceType, name string) []types.TagSpecification {
	tag := types.Tag{Key: aws.String("Name"), Value: aws.String(name)}
	return []types.TagSpecification{{ResourceType: kind, Tags: []types.Tag{tag}}}
}
