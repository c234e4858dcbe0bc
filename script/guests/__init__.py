"""Fresh machines for the proofs: Debian trees, booted copies of them, their network, and Vagrant. Debian's own programs
and the standard library alone; everything here needs root. docs/vagrant.md says what is made where."""
