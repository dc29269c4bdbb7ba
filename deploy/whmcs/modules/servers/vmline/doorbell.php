<?php

/**
 * Registers callback.php as a webhook at a gateway. On the command line, once for each server:
 *
 *     VMLINE_TOKEN=... php modules/servers/vmline/doorbell.php 3
 *
 * where 3 is the server's id in WHMCS, and the token is an admin's of the gateway: it is used for this call alone.
 */

if (PHP_SAPI !== 'cli') {
    http_response_code(404);
    exit;
}

use WHMCS\Module\Server\Vmline\Doorbell;
use WHMCS\Module\Server\Vmline\Failure;

require dirname(__DIR__, 3) . '/init.php';
require_once __DIR__ . '/lib/autoload.php';

try {
    echo 'The gateway will ring at ' . Doorbell::register((int) ($argv[1] ?? 0), (string) getenv('VMLINE_TOKEN')) . "\n";
} catch (Failure $failure) {
    fwrite(STDERR, $failure->getMessage() . "\n");
    exit(1);
}
