# SPDX-License-Identifier: LGPL-2.1-or-later
# Thin names over the real tools. "make build" works on a fresh machine; run again, everything is quick.

PREFIX ?= /opt/pam_sc
VENV := .venv
SOURCES := $(shell find pam_sc mappers pam_shim -name __pycache__ -prune -o -print) \
	meson.build meson.options pyproject.toml tools/python_sources.py tools/build_wheel
LOCKS := requirements/runtime.txt requirements/build.txt requirements/pcsc.txt requirements/test.txt

# Before make looks at any file of it.
$(shell tools/drop_stale_venv $(VENV))

.PHONY: build demo check check-modules check-desktops lint bench fuzz texts install uninstall lock clean ready

build: $(VENV)/.built

ready:  # missing packages, an interpreter that is too old
	@tools/prepare_machine requirements/apt.txt

$(VENV)/.requirements: $(LOCKS) tools/make_venv | ready
	@tools/make_venv $(VENV) $(LOCKS)
	@touch $@

$(VENV)/.built: $(SOURCES) $(VENV)/.requirements
	@tools/build_wheel $(VENV) dist
	@umask 022; $(VENV)/bin/pip install --quiet --no-index --no-deps --force-reinstall dist/pam_sc-*.whl
	@touch $@

demo: build
	@$(VENV)/bin/python -P tools/demo.py

lint: build
	@tools/lint $(VENV)

check: build
	@tools/check $(VENV)

check-modules: build  # NSS and opencryptoki; docs/modules.md has what they answered
	@tools/prepare_machine requirements/apt-modules.txt
	@cd tests && PAM_SC_TEST_INSTALLED=1 ../$(VENV)/bin/python -P -m pytest modules

check-desktops: build  # GNOME, Plasma and others; docs/monitor.md has what they answered
	@tools/prepare_machine requirements/apt-desktops.txt
	@cd tests && PAM_SC_TEST_INSTALLED=1 ../$(VENV)/bin/python -P -m pytest desktops

bench: build
	@$(VENV)/bin/python -P tools/bench.py $(BENCH)

fuzz: build
	@tools/fuzz $(VENV) $(SECONDS)

texts: build  # write anew what is made from the tables of texts: pages, template, translations
	@tools/texts $(VENV)

install: build
	@tools/install $(VENV) $(PREFIX)

uninstall:
	@tools/uninstall $(PREFIX)

lock:  # rewrite the lists of hashes from requirements/*.in
	@tools/lock

clean:
	rm -rf $(VENV) build dist .demo
