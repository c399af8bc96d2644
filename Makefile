# The one door to the project. `make help` lists what is behind it.
#
# What needs root (namespaces, instances, the machine image) runs through sudo where you are not
# root. Everything else runs as you, also under `sudo make`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

AS_ROOT := scripts/as-root
AS_USER := scripts/as-user
CARGO := $(AS_USER) cargo

# Where the person's things are; `gureum` finds the same places by itself.
PERSON_HOME := $(shell if [ "$$(id -u)" = 0 ] && [ "$${SUDO_UID:-0}" != 0 ]; \
	then getent passwd "$$SUDO_UID" | cut -d: -f6; else printf '%s' "$$HOME"; fi)
IMAGES := $(or $(GUREUM_IMAGES_DIR),$(or $(XDG_CACHE_HOME),$(PERSON_HOME)/.cache)/gureum/images)
DATA := $(or $(GUREUM_DATA_DIR),$(or $(XDG_DATA_HOME),$(PERSON_HOME)/.local/share)/gureum)
# The tests ask for it, and must not look in root's home.
export GUREUM_IMAGES_DIR := $(IMAGES)
PREFIX ?= /usr/local
LAB_LANG ?=
FRESH ?=
# How long each fuzz target runs, and how much the nightly run judges.
FUZZ_SECONDS ?= 600
NIGHTLY_FLOWS ?= 1000000
NIGHTLY_SECOND_OPINION ?= 20000
NIGHTLY_VPCS ?= 10000

GUREUM := target/release/gureum
# The agent runs in instances, whose C library may be another.
STATIC := -C target-feature=+crt-static
TOOLS := $(CURDIR)/target/tools/venv/bin
# Always, since `setup-tests` may make it only after this was read.
export PATH := $(TOOLS):$(PATH)

.NOTPARALLEL:
.PHONY: help setup setup-tests build image install up lab test fmt-check clippy-check checks unit \
	e2e bench fmt clippy setup-nightly fuzz mutants nightly

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

setup: ## install what building and running needs (Debian and Ubuntu), and say how much that is
	@scripts/setup

setup-tests:
	@scripts/setup --tests

setup-nightly:
	@scripts/setup --nightly

build: ## build the release binary, and the agent of instances beside it
	$(CARGO) build --locked --release -p gureum
	$(CARGO) rustc --locked --release -p gureum-guest --bin gureum-guest -- $(STATIC)

image: ## build the machine image, once; some minutes
	@$(AS_USER) mkdir -p "$(IMAGES)"
	@$(AS_ROOT) images/build "$(IMAGES)"

install: build ## install the binary and the labs below PREFIX (/usr/local)
	$(AS_ROOT) install -D -m 755 -t "$(DESTDIR)$(PREFIX)/bin" $(GUREUM) $(GUREUM)-guest
	$(AS_ROOT) install -D -m 644 -t "$(DESTDIR)$(PREFIX)/share/gureum/labs/vpc" $(wildcard labs/vpc/*.*)
	$(AS_ROOT) install -D -m 644 -t "$(DESTDIR)$(PREFIX)/share/gureum/labs/vpc/terraform" $(wildcard labs/vpc/terraform/*.tf)

# A daemon that runs already is taken as it is.
up: setup build image
	@$(AS_USER) $(GUREUM) --data-dir "$(DATA)" status >/dev/null 2>&1 || \
		$(AS_ROOT) $(GUREUM) --data-dir "$(DATA)" up --detach --images-dir "$(IMAGES)"

lab: up ## do the VPC lab from nothing: set up, build, start, check (FRESH=1 again, LAB_LANG=ko)
	@$(AS_USER) $(GUREUM) --data-dir "$(DATA)" lab run labs/vpc \
		$(if $(LAB_LANG),--lang $(LAB_LANG)) $(if $(FRESH),--fresh)

test: setup-tests checks image unit e2e ## every check and test; what CI runs

checks: fmt-check clippy-check
	$(CARGO) run --locked -q -p xtask -- crate-order
	$(CARGO) run --locked -q -p xtask -- codegen --check
	$(CARGO) run --locked -q -p xtask -- anchors --check | tail -n 1

fmt-check:
	$(CARGO) fmt --all --check

clippy-check:
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

# Always the whole workspace: a part of it has other features, and would be compiled anew.
unit:
	@scripts/nextest --workspace --no-fail-fast -E 'not package(gureum-e2e)'

e2e: ## the end-to-end tests: real clients, real namespaces, real packets
	$(CARGO) build --locked --workspace --bins
	@GUREUM_TF_PLUGIN_DIR="$$(scripts/terraform-plugins)" \
		scripts/nextest --workspace --no-fail-fast -E 'package(gureum-e2e)'
	@if command -v session-manager-plugin >/dev/null; then \
		scripts/nextest --workspace --no-fail-fast --run-ignored only -E 'package(gureum-e2e) & test(real_plugin)'; \
	else \
		echo "e2e: AWS's session-manager-plugin is not on the PATH: three tests with it were skipped"; \
	fi
	@command -v go >/dev/null || echo "e2e: Go is not on the PATH: the example in Go was skipped"

fuzz: setup-nightly ## arbitrary bytes through parser and engine (FUZZ_SECONDS=600 for each)
	@scripts/fuzz $(FUZZ_SECONDS)

mutants: setup-nightly ## does a test fail when the engine decides otherwise? half an hour (SHARD=0/8)
	@scripts/mutants $(if $(SHARD),--shard $(SHARD))

nightly: setup-nightly ## a million flows, more of the second opinion, fuzz, mutants: a night long
	@GUREUM_ORACLE_FLOWS=$(NIGHTLY_FLOWS) scripts/nextest -p gureum-engine --cargo-profile release \
		--no-capture -E 'binary(oracle)'
	@GUREUM_FLOWS=$(NIGHTLY_SECOND_OPINION) scripts/nextest -p gureum-host --retries 0 --no-capture \
		-E 'binary(second_opinion)'
	$(CARGO) build --locked --workspace --bins
	@GUREUM_VPCS=$(NIGHTLY_VPCS) scripts/nextest --workspace --retries 0 --no-capture \
		-E 'package(gureum-e2e) & binary(answers)'
	@$(MAKE) fuzz
	@$(MAKE) mutants

bench: build image ## measure, print a table, write bench/results/latest.json
	@$(AS_ROOT) env GUREUM_IMAGES_DIR="$(IMAGES)" bench/run $(GUREUM)

fmt: ## format the sources
	$(CARGO) fmt --all

clippy: ## lint the sources
	$(CARGO) clippy --locked --workspace --all-targets
