# Everything starts here. `make` alone lists what there is.
.DEFAULT_GOAL := help
.PHONY: help serve test test-keycloak check bench prove

# npm writes this file last: it is there, and not older than the lockfile, when what the lockfile names is installed.
installed := node_modules/.package-lock.json
# The project brings its own Node. Only for our own commands: npm must not run on what it is about to replace.
with_node := PATH="$(CURDIR)/node_modules/.bin:$$PATH"
# Kept from run to run, until npm ci empties the folder.
keycloak_version := 26.0.7
keycloak := node_modules/.cache/keycloak-quarkus-dist-$(keycloak_version).tar.gz

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: $(installed) ## install what is missing, then serve on port 8080 from ./cache with config.yaml
	@$(with_node) exec node src/main.ts serve --config-file config.yaml

test: $(installed) ## install what is missing, then run every test (with CI=true a missing program is a failure)
	@$(with_node) node test/support/run-tests.ts

test-keycloak: $(installed) $(keycloak) ## the tests with a real Keycloak: takes Java 17, Maven, and two minutes
	@$(with_node) KEYCLOAK_ARCHIVE="$(CURDIR)/$(keycloak)" node test/support/run-tests.ts test/e2e/real-keycloak.test.ts

check: $(installed) ## types, lint, and what nobody uses
	@$(with_node) npm run --silent check

bench: $(installed) ## measure us, docker-registry's proxy and nginx on the same bytes, side by side
	@$(with_node) node bench/compare.ts

prove: $(installed) ## proofs that take minutes, each by its name too (node bench/prove.ts herd): outages, crowds, kills, soak, fuzzing, scale, credentials, threats
	@$(with_node) node bench/prove.ts

$(installed): package-lock.json
	@test ! -L node_modules || { echo "node_modules is a link, and npm ci would empty what it leads to: remove the link" >&2; exit 1; }
	@npm ci --loglevel=error
	@touch $@

$(keycloak): | $(installed)
	@mvn --quiet --batch-mode dependency:copy -Dartifact=org.keycloak:keycloak-quarkus-dist:$(keycloak_version):tar.gz -DoutputDirectory=$(@D)
