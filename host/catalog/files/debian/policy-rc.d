#!/bin/sh
# No init system runs in a container: packages are not to start services.
exit 101
