output "vpc_id" {
  value = aws_vpc.this.id
}

output "instance_ids" {
  value = { for name, instance in aws_instance.this : name => instance.id }
}

output "public_addresses" {
  value = { for name, instance in aws_instance.this : name => instance.public_ip if instance.public_ip != "" }
}

output "nat_address" {
  value = one(aws_eip.nat[*].public_ip)
}
