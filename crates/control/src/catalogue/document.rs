//! Documents of Systems Manager that AWS owns: what sessions and commands can be.
//!
//! Contents are JSON in AWS's schemas, written for what our agent does.

use gureum_types::Timestamp;

/// A document.
pub(crate) struct Document {
    /// Its name.
    pub(crate) name: &'static str,
    /// `Session` or `Command`.
    pub(crate) kind: &'static str,
    content: &'static str,
}

/// The document of a session for which none is named (SSM-11).
pub(crate) const RUN_SHELL: &str = "SSM-SessionManagerRunShell";

/// When AWS made them; they have had one version here.
pub(crate) const CREATED: Timestamp = Timestamp(1_536_624_000_000);

impl Document {
    /// Its content as it is written: JSON.
    pub(crate) fn text(&self) -> &'static str {
        self.content
    }
}

/// The document of a name.
pub(crate) fn document(name: &str) -> Option<&'static Document> {
    DOCUMENTS.iter().find(|document| document.name == name)
}

/// A port number.
macro_rules! port {
    () => {
        "^([1-9]|[1-9][0-9]{1,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$"
    };
}

/// A port number, or 0 for one that is free.
macro_rules! local_port {
    () => {
        "^([0-9]|[1-9][0-9]{1,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$"
    };
}

/// All of them, by name.
pub(crate) const DOCUMENTS: &[Document] = &[
    Document {
        name: "AWS-RunShellScript",
        kind: "Command",
        content: r#"{
  "schemaVersion": "1.2",
  "description": "Run a shell script or specify the commands to run.",
  "parameters": {
    "commands": {
      "type": "StringList",
      "description": "(Required) A shell script or a command to run.",
      "minItems": 1
    },
    "workingDirectory": {
      "type": "String",
      "default": "",
      "description": "(Optional) The folder to run it in.",
      "maxChars": 4096
    },
    "executionTimeout": {
      "type": "String",
      "default": "3600",
      "description": "(Optional) How many seconds it may take.",
      "allowedPattern": "([1-9][0-9]{0,4})|(1[0-6][0-9]{4})|(17[0-1][0-9]{3})|(172[0-7][0-9]{2})|(172800)"
    }
  },
  "runtimeConfig": {
    "aws:runShellScript": {
      "properties": [
        {
          "id": "0.aws:runShellScript",
          "runCommand": "{{ commands }}",
          "workingDirectory": "{{ workingDirectory }}",
          "timeoutSeconds": "{{ executionTimeout }}"
        }
      ]
    }
  }
}"#,
    },
    Document {
        name: "AWS-StartInteractiveCommand",
        kind: "Session",
        content: r#"{
  "schemaVersion": "1.0",
  "description": "Document to run a single interactive command on an instance",
  "sessionType": "InteractiveCommands",
  "parameters": {
    "command": {
      "type": "String",
      "description": "The command to run on the instance"
    }
  },
  "properties": {
    "linux": { "commands": "{{ command }}", "runAsElevated": false }
  }
}"#,
    },
    Document {
        name: "AWS-StartNonInteractiveCommand",
        kind: "Session",
        content: r#"{
  "schemaVersion": "1.0",
  "description": "Document to run a single non-interactive command on an instance",
  "sessionType": "NonInteractiveCommands",
  "parameters": {
    "command": {
      "type": "String",
      "description": "The command to run on the instance"
    }
  },
  "properties": {
    "linux": { "commands": "{{ command }}", "runAsElevated": false }
  }
}"#,
    },
    Document {
        name: "AWS-StartPortForwardingSession",
        kind: "Session",
        content: concat!(
            r#"{
  "schemaVersion": "1.0",
  "description": "Document to start port forwarding session over Session Manager",
  "sessionType": "Port",
  "parameters": {
    "portNumber": {
      "type": "String",
      "description": "(Optional) Port number of the server on the instance",
      "allowedPattern": ""#,
            port!(),
            r#"",
      "default": "80"
    },
    "localPortNumber": {
      "type": "String",
      "description": "(Optional) Port number on local machine to forward traffic to. An open port is chosen at run-time if not provided",
      "allowedPattern": ""#,
            local_port!(),
            r#"",
      "default": "0"
    }
  },
  "properties": {
    "portNumber": "{{ portNumber }}",
    "type": "LocalPortForwarding",
    "localPortNumber": "{{ localPortNumber }}"
  }
}"#
        ),
    },
    Document {
        name: "AWS-StartPortForwardingSessionToRemoteHost",
        kind: "Session",
        content: concat!(
            r#"{
  "schemaVersion": "1.0",
  "description": "Document to start port forwarding session over Session Manager to remote host",
  "sessionType": "Port",
  "parameters": {
    "host": {
      "type": "String",
      "description": "(Optional) Hostname or IP address of the destination server",
      "allowedPattern": "^[a-zA-Z0-9.:_-]{1,255}$",
      "default": "localhost"
    },
    "portNumber": {
      "type": "String",
      "description": "(Optional) Port number of the server on the instance",
      "allowedPattern": ""#,
            port!(),
            r#"",
      "default": "80"
    },
    "localPortNumber": {
      "type": "String",
      "description": "(Optional) Port number on local machine to forward traffic to. An open port is chosen at run-time if not provided",
      "allowedPattern": ""#,
            local_port!(),
            r#"",
      "default": "0"
    }
  },
  "properties": {
    "host": "{{ host }}",
    "portNumber": "{{ portNumber }}",
    "type": "LocalPortForwarding",
    "localPortNumber": "{{ localPortNumber }}"
  }
}"#
        ),
    },
    Document {
        name: "AWS-StartSSHSession",
        kind: "Session",
        content: concat!(
            r#"{
  "schemaVersion": "1.0",
  "description": "Document to start SSH session over Session Manager",
  "sessionType": "Port",
  "parameters": {
    "portNumber": {
      "type": "String",
      "description": "(Optional) SSH port number on the instance",
      "allowedPattern": ""#,
            port!(),
            r#"",
      "default": "22"
    }
  },
  "properties": {
    "portNumber": "{{ portNumber }}"
  }
}"#
        ),
    },
    Document {
        name: RUN_SHELL,
        kind: "Session",
        content: r#"{
  "schemaVersion": "1.0",
  "description": "Document to hold regional settings for Session Manager",
  "sessionType": "Standard_Stream",
  "parameters": {},
  "inputs": {
    "s3BucketName": "",
    "s3KeyPrefix": "",
    "s3EncryptionEnabled": true,
    "cloudWatchLogGroupName": "",
    "cloudWatchEncryptionEnabled": true,
    "kmsKeyId": "",
    "runAsEnabled": false,
    "runAsDefaultUser": "",
    "shellProfile": { "linux": "" }
  }
}"#,
    },
];

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_document_is_json_and_in_order() {
        assert!(DOCUMENTS.is_sorted_by_key(|document| document.name));
        for document in DOCUMENTS {
            let content: Value = serde_json::from_str(document.text()).expect(document.name);
            assert!(content["schemaVersion"].is_string(), "{}", document.name);
        }
    }
}
