run "network" {
  assert {
    condition     = output.public_address != ""
    error_message = "The shop has no public address."
  }

  assert {
    condition     = aws_instance.db.public_ip == ""
    error_message = "The database has a public address."
  }
}

run "reachability" {
  module {
    source = "./tests/reachability"
  }

  variables {
    expectations = "expectations.yaml"
  }
}

run "with_a_port_too_many" {
  variables {
    admin_ports = [22]
  }
}

run "a_port_too_many_is_found" {
  module {
    source = "./tests/reachability"
  }

  variables {
    expectations = "expectations.yaml"
    status       = 1
  }
}
