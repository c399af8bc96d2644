# `terraform test`: what the network lets through, before anybody sends a packet.

run "as_it_shall_be" {
  assert {
    condition = alltrue([
      for name in [
        "internet-to-web", "web-to-app", "app-to-database", "app-to-internet", "closed-to-endpoint",
        "left-to-right",
      ] : output.found[name]
    ])
    error_message = "Something that shall be reachable is not: ${jsonencode(output.found)}"
  }

  assert {
    condition = !anytrue([
      for name in [
        "internet-to-ssh", "internet-to-app", "web-to-database", "endpoint-to-closed",
        "right-to-left-by-ssh", "closed-to-right",
      ] : output.found[name]
    ])
    error_message = "Something is reachable that shall not be: ${jsonencode(output.found)}"
  }

  assert {
    condition     = output.codes["internet-to-ssh"] == ["ENI_SG_RULES_MISMATCH"]
    error_message = "Not the group: ${jsonencode(output.codes)}"
  }

  assert {
    condition     = output.codes["internet-to-app"] == ["IGW_PRIVATE_IP_ASSOCIATION_FOR_INGRESS"]
    error_message = "Not for want of an address: ${jsonencode(output.codes)}"
  }

  assert {
    condition     = output.codes["closed-to-right"] == ["DISCONNECTED_VPCS"]
    error_message = "The VPCs have nothing in common: ${jsonencode(output.codes)}"
  }

  assert {
    condition = (
      length(output.way_to_web) == 5 && output.way_to_web[0] == output.gateway
      && output.way_to_web[4] == output.web
    )
    error_message = "Another way: ${jsonencode(output.way_to_web)}"
  }
}

run "without_the_rule" {
  variables {
    broken = "group"
  }

  assert {
    condition     = output.codes["internet-to-web"] == ["SG_HAS_NO_RULES"]
    error_message = "The web server has no rule: ${jsonencode(output.codes)}"
  }

  assert {
    condition     = output.found["web-to-app"] && !output.found["internet-to-web"]
    error_message = "More than that is different: ${jsonencode(output.found)}"
  }
}

run "without_routes" {
  variables {
    broken = "route"
  }

  assert {
    condition = alltrue([
      for name in ["internet-to-web", "app-to-internet", "left-to-right"] :
      !output.found[name] && output.codes[name][0] == "NO_ROUTE_TO_DESTINATION"
    ])
    error_message = "There is no route: ${jsonencode(output.codes)}"
  }
}

run "without_the_answers" {
  variables {
    broken = "acl"
  }

  assert {
    condition     = output.codes["internet-to-web"] == ["SUBNET_ACL_RESTRICTION"]
    error_message = "Answers are not let out: ${jsonencode(output.codes)}"
  }

  assert {
    condition     = output.found["app-to-database"] && !output.found["web-to-app"]
    error_message = "More than that is different: ${jsonencode(output.found)}"
  }
}
