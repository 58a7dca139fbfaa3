# What a person would type. Everything happens in .venv; nothing else is touched.

PYTHON ?= python3.11
BIN := .venv/bin
NEXT := patclass train --data your-patents.csv --labels class -o my_model

.PHONY: help demo test test-full test-loop types pytest lint lock audit sbom docs bench-sections bench-policies bench-train bench-training bench-scale bench-layers bench-shipped shipped serve up pictures bench-page bench-markup bench-read \
	bench-serve bench-serve-llama bench-soak bench-drift clean

help:  ## show these targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 18

# The lock files are complete, so that nothing in them is resolved, and only files with their hashes
# are installed. torch comes last and alone: a machine with a CPU wheel on pip's find-links takes that
# one, and what it needs is there. Modules are compiled when they are first imported: most never are.
.venv/ready: requirements.txt requirements-dev.txt requirements-torch.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile --no-deps --require-hashes -r requirements-dev.txt
	$(BIN)/pip install --quiet --no-compile -r requirements-torch.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch .venv/ready

DRILL := A drill bit for boreholes has a steel body with blades that carry cutters of \
	polycrystalline diamond, and nozzles that flush cuttings into the annulus.
LOOM := A loom has a shedding device whose heald frames are each driven by a servo motor, so that \
	the weave pattern can be changed without stopping the machine.
TABLET := A tablet for oral administration releases a blood pressure lowering agent over twelve \
	hours from a matrix of hydroxypropyl methylcellulose.

# The trained model stays in build/demo: the shipped one answers by default before and after.
demo: .venv/ready  ## classify with the shipped model; train, evaluate, verify and compare another
	$(BIN)/patclass predict --model shipped "$(DRILL)"
	$(BIN)/patclass predict --model shipped "$(LOOM)"
	$(BIN)/patclass predict --model shipped "$(TABLET)"
	$(BIN)/patclass train --data sample --labels section --max-tokens 128 --epochs 3 \
	--batch-tokens 1024 --learning-rate 2e-3 --restart --allow-weak -o build/demo
	$(BIN)/patclass verify build/demo
	$(BIN)/patclass compare shipped build/demo --data sample --level section
	@echo
	@echo "Next: $(BIN)/$(NEXT)"
	@echo "      $(BIN)/patclass classify your-patents.csv -o answers.csv"
	@echo "      $(BIN)/patclass --help"

# Three processes on two cores, as many tests wait for a server, a browser or a database.
# If one of them dies, the run ends: a new one would never get the tests of the first.
PYTEST := $(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder --max-worker-restart 0

# Without compiled modules, each of the many processes that the tests start would compile them again.
unexport PYTHONDONTWRITEBYTECODE

test: .venv/ready  ## check style and types, run every test (7 minutes on two cores)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(MAKE) --jobs=2 types pytest

types: .venv/ready
	$(BIN)/mypy

pytest: .venv/ready
	$(PYTEST)

# More kills, requests and windows, limits by the clock, and the learning loop on the shared patents.
test-full: .venv/ready  ## the same with long counts, limits by the clock, the whole loop (three quarters of an hour)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	PATCLASS_WHOLE_LOOP=1 $(PYTEST) --full

test-loop: .venv/ready  ## run the whole learning loop on the shared patents (half an hour on two cores)
	PATCLASS_WHOLE_LOOP=1 $(BIN)/python -m pytest -s tests/test_whole_loop.py

lint: .venv/ready  ## fix style, then check types and layers
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/mypy
	$(BIN)/lint-imports

# In an environment of their own, so that the product's stays as small as it is.
build/tools/ready: requirements-tools.txt
	$(PYTHON) -m venv build/tools
	build/tools/bin/pip install --quiet --no-deps --require-hashes -r requirements-tools.txt
	touch build/tools/ready

lock: .venv/ready build/tools/ready  ## write the pinned versions of what is installed, with hashes and licences
	$(BIN)/python scripts/lock.py

# Asks the vulnerability service of the package index, so it needs the network; a package that could
# not be looked up is an error too.
audit: build/tools/ready  ## look for known weaknesses of the pinned packages
	build/tools/bin/pip-audit --strict --progress-spinner off --disable-pip --no-deps \
	-r requirements-dev.txt -r requirements-torch.txt -r requirements-tools.txt

# CycloneDX, from the lock files alone: without the network, and the same for the same files.
sbom: build/tools/ready  ## list the pinned packages in build/sbom, for product and service
	mkdir -p build/sbom
	cat requirements-torch.txt requirements.txt > build/sbom/product.txt
	build/tools/bin/cyclonedx-py requirements build/sbom/product.txt --pyproject pyproject.toml \
	--output-reproducible -o build/sbom/product.json
	build/tools/bin/cyclonedx-py requirements requirements-serve.txt --pyproject pyproject.toml \
	--output-reproducible -o build/sbom/service.json
	rm build/sbom/product.txt

docs: .venv/ready  ## write the pages that come from the code
	$(BIN)/python scripts/docs.py

# The splits of the shared patents, in a folder that holds nothing else.
build/patents:
	mkdir -p $@
	for split in train validation test; do \
	ln -s ../../../shared/data/patents-$$split.parquet $@/; done

bench-sections: .venv/ready build/patents  ## train on the shared patents and report (hours on two cores)
	$(BIN)/patclass train --config scripts/sections.toml

bench-policies: .venv/ready build/patents  ## compare how long documents are read, on the shared patents
	$(BIN)/python scripts/bench_policies.py

# Three quarters of an hour on two cores with bfloat16; needs the weights of smollm2-135m.
bench-train: .venv/ready build/patents  ## training beside Trainer + PEFT, and what it costs: docs/benchmarks.md
	$(BIN)/python scripts/bench_train/run.py build/patents --rows 1000 --layers 3 --original-steps 300
	$(BIN)/python scripts/bench_train/run.py build/patents --base smollm2-135m --rows 250 \
	--max-tokens 128 --rate 2e-4 --targets auto --test-rows 300 --layers 4 --original-steps 20

# An hour and more on two cores; --rows makes it shorter.
bench-scale: .venv/ready build/patents  ## jobs by processes and on Ray, beside a plain pipeline; a simulated cluster
	$(BIN)/python scripts/bench_scale/run.py build/patents
	$(BIN)/patclass bench --model build/bench-scale/model -o build/bench-scale/rates.json
	$(BIN)/python scripts/bench_scale/simulate.py --rates build/bench-scale/rates.json \
	--measured build/bench-scale/measured.json

bench-training: .venv/ready  ## compare number formats of a training step on this processor
	$(BIN)/python scripts/bench_training.py

# Twenty minutes on two cores with bfloat16.
bench-layers: .venv/ready build/patents  ## what adapting only the upper layers costs and loses, on the shared patents
	$(BIN)/python scripts/bench_layers.py build/patents

# The few examples take most of the time, as SetFit trains twenty times; QUICK=--quick takes fewer
# rows, draws and steps.
bench-shipped: .venv/ready build/patents  ## measure the shipped model on all shared files, beside its baselines (hours on two cores)
	$(BIN)/patclass evaluate shipped --data build/patents \
	--baselines section,class,subclass -o build/shipped.html
	$(BIN)/python scripts/bench_shipped/run.py $(QUICK) -o build/shipped-figures.json

# The rows that the shipped model learns from: both harvests.
build/shipped-data: .venv/ready
	$(BIN)/python scripts/shipped_data.py ../shared/data $@

# An hour and a half on two cores with AMX, five hours on others. The bundle replaces the one in the package.
shipped: .venv/ready build/shipped-data  ## make the shipped model again from the shared patents
	$(BIN)/python scripts/compact_base.py build/shipped-data/train.parquet build/compact-minilm
	$(BIN)/patclass train --config scripts/shipped.toml --restart
	rm -rf src/patclass/shipped
	cp -r build/shipped src/patclass/shipped

serve: .venv/ready  ## answer on port 9000
	$(BIN)/patclass serve

up: .venv/ready  ## start the service and the page; Ctrl-C ends both
	$(BIN)/python scripts/up.py

bench-page: .venv/ready  ## how long after the service the page answers, in a real browser
	$(BIN)/python scripts/bench_page.py

pictures: .venv/ready  ## make the pictures of the page again, by its tests in a real browser
	PATCLASS_PICTURES=docs/pictures $(BIN)/python -m pytest tests/ui/test_browser.py

# Ten minutes on two cores the first time; the answers are kept in build/bench-drift.
bench-drift: .venv/ready build/patents  ## how often drift raises an alert on the shared patents, without and with a shift
	$(BIN)/python scripts/bench_drift.py

bench-markup: .venv/ready  ## how many marked-up texts get the prediction of their plain twins
	$(BIN)/python scripts/bench_markup.py

bench-read: .venv/ready build/patents  ## how fast files are read, compared with plain readers
	$(BIN)/python scripts/bench_read.py

# Ten minutes on two cores; the export is made once, in build/bench-serve.
bench-serve: .venv/ready build/patents  ## compare the service with two others; writes docs/benchmarks.md
	$(BIN)/python scripts/bench_serve/run.py shipped

bench-soak: .venv/ready  ## half an hour of mixed load: memory, descriptors, threads; writes docs/soak.md
	$(BIN)/python scripts/bench_soak.py

# Twenty minutes, 10 GB of disk and of memory.
bench-serve-llama: .venv/ready build/patents  ## the same for the shape of Llama-3.2-1B
	$(BIN)/python scripts/bench_serve/run.py llama

clean:  ## remove the environment and the demo's model
	rm -rf .venv build/demo build/demo.run build/demo.previous
