# make report   set up, run the default benchmark, write the report
# make test     set up, run the tests
# make test-fast    those that start no process, load no torch and draw nothing
# make check    format, lint, types; changes nothing
# make fix      format and mend what ruff can
# make benchmark    every variant with pytest-benchmark
# make figures      measures the figures of README and docs/findings.md and writes them there: half an hour
# make performance    measures docs/performance.md and writes it: half an hour
# make docs         the pages of docs as a site, in build/site
# make acceptance   what the project promises about its verdicts and its speed, measured: an hour; ACCEPTANCE=--long: many

PYTHON ?= python3
BIN := .venv/bin
PARALLEL := -n auto --dist worksteal# keeps neighbours together, and so what a module's tests share
# the tests start hundreds of Pythons: none should compile bench anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: report test test-fast check fix benchmark acceptance figures docs clean

report: .venv/ready
	$(BIN)/rnnbench run

test: .venv/ready-dev
	$(BIN)/pytest $(PARALLEL) $(TESTS)

test-fast: .venv/ready-dev
	$(BIN)/pytest $(PARALLEL) --fast

benchmark: .venv/ready-dev
	$(BIN)/pytest --benchmark-only

figures: .venv/ready-dev
	env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BIN)/python docs/figures.py

performance: .venv/ready-dev
	env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BIN)/python docs/performance.py

acceptance: .venv/ready-acceptance
	env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BIN)/pytest -s tests/acceptance $(ACCEPTANCE)

# the notice that it hides: mkdocs-material gets its last mends in May 2027; Zensical reads the same mkdocs.yml
docs: .venv/ready-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

check: .venv/ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=tests $(BIN)/python -m acceptance.validity

fix: .venv/ready-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# installed anew only when a version or a dependency changes
.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "rnnbench needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

.venv/ready-dev: .venv/ready
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	@touch $@

.venv/ready-acceptance: .venv/ready-dev
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev,acceptance]"
	@touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
