# Fails where the network does not let through what a file expects.

variable "expectations" {
  description = "The file, as `gureum check` reads it."
  type        = string
}

variable "status" {
  description = "The exit status that is expected of `gureum check`: 1 where something shall not hold."
  type        = number
  default     = 0
}

resource "terraform_data" "check" {
  # Each run asks anew.
  triggers_replace = timestamp()

  provisioner "local-exec" {
    command = "gureum check '${var.expectations}' --quiet; test $? = ${var.status}"
  }
}
