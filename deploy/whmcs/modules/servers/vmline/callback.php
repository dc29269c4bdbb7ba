<?php

/**
 * The gateway's doorbell: a webhook by Standard Webhooks makes the module fetch the events at once.
 */

use WHMCS\Module\Server\Vmline\Doorbell;
use WHMCS\Module\Server\Vmline\Hooks;
use WHMCS\Module\Server\Vmline\Webhook;

require dirname(__DIR__, 3) . '/init.php';
require_once __DIR__ . '/lib/autoload.php';

$body = (string) file_get_contents('php://input', false, null, 0, Webhook::MAX_BODY);
$genuine = Webhook::isGenuine(
    (string) ($_SERVER['HTTP_WEBHOOK_ID'] ?? ''),
    (string) ($_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? ''),
    (string) ($_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? ''),
    $body,
    array_values(Doorbell::secrets()),
    time()
);
if (!$genuine) {
    http_response_code(401);
    exit;
}
ignore_user_abort(true); // the gateway need not wait for what follows
http_response_code(204);
if (function_exists('fastcgi_finish_request')) {
    fastcgi_finish_request();
}
Hooks::afterCronJob();
