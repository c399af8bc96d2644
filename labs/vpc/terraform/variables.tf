variable "region" {
  description = "The lab is written for Seoul."
  type        = string
  default     = "ap-northeast-2"
}

variable "public_key_file" {
  description = "The public half of the key pair that logs in to the instances."
  type        = string
  default     = "~/.ssh/id_ed25519.pub"
}

variable "nat_gateway" {
  description = "Task 3: whether the private subnets have a way to the internet."
  type        = bool
  default     = true
}

variable "session_manager" {
  description = "Tasks 4 and 5: the role and the interface endpoint of Session Manager."
  type        = bool
  default     = true
}

variable "network_acl" {
  description = "Task 6: whether the private subnets are under an ACL of their own."
  type        = bool
  default     = false
}

variable "network_acl_source" {
  description = "Task 6: from where that ACL lets traffic in; step 25 makes it 0.0.0.0/0."
  type        = string
  default     = "10.1.1.0/24"
}

variable "icmp_open" {
  description = "Task 6: whether IMD-PUB-SG lets ICMP in."
  type        = bool
  default     = true
}

variable "flow_log" {
  description = "Task 7: whether the VPC's traffic is logged."
  type        = bool
  default     = true
}
