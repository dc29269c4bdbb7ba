<?php

/**
 * WHMCS loads this file with every page, so it only says what is to be called when.
 */

if (!defined('WHMCS')) {
    die('This file cannot be accessed directly');
}

require_once __DIR__ . '/lib/autoload.php';

use WHMCS\Module\Server\Vmline\Hooks;

add_hook('AfterCronJob', 1, static function (): void {
    Hooks::afterCronJob();
});

add_hook('DailyCronJob', 1, static function (): void {
    Hooks::dailyCronJob();
});

add_hook('EmailPreSend', 1, static fn (array $vars): array => Hooks::emailPreSend($vars));

add_hook('ShoppingCartValidateUpgrade', 1, static function (array $vars): array {
    return Hooks::validateUpgrade($vars, (array) ($_REQUEST['configoption'] ?? []));
});

add_hook('ServiceDelete', 1, static function (array $vars): void {
    Hooks::serviceDelete((int) ($vars['serviceid'] ?? 0));
});

add_hook('IntelligentSearch', 1, static fn (array $vars): array => Hooks::search((string) ($vars['searchTerm'] ?? '')));
