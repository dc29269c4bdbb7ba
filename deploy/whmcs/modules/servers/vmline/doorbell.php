<?php

/**
 * Registers callback.php as a webhook at a gateway. On the command line, once for each server:
 *
 *     php modules/servers/vmline/doorbell.php 3
 *
 * where 3 is the server's id in WHMCS.
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
    echo 'The gateway will ring at ' . Doorbell::register((int) ($argv[1] ?? 0)) . "\n";
} catch (Failure $failure) {
    fwrite(STDERR, $failure->getMessage() . "\n");
    exit(1);
}
