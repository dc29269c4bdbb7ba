{* The machine on the product's page. Everything that is printed is escaped. *}
<div class="panel panel-default card" id="vmline" data-poll="{$vmline.poll|escape:'html'}" data-busy="{if $vmline.busy}1{else}0{/if}">
  <div class="panel-heading card-header"><h3 class="panel-title card-title">Machine</h3></div>
  <div class="panel-body card-body">
    {if !$vmline.ordered}
      <p>Your machine has not been ordered yet.</p>
    {else}
      <dl>
        <dt>Status</dt><dd data-field="power">{$vmline.power|escape:'html'}</dd>
        <dt>Last task</dt><dd><span data-field="doing">{$vmline.doing|escape:'html'}</span>: <span data-field="progress">{$vmline.progress|escape:'html'}</span></dd>
        <dt>Addresses</dt><dd data-field="addresses">{foreach $vmline.addresses as $address}{$address|escape:'html'}{if !$address@last}, {/if}{foreachelse}none yet{/foreach}</dd>
        {if $vmline.reverse}<dt>Reverse DNS</dt><dd data-field="reverse">{$vmline.reverse|escape:'html'}</dd>{/if}
      </dl>
      <div class="progress" {if !$vmline.busy}style="display:none"{/if}>
        <div class="progress-bar" role="progressbar" style="width:{$vmline.percent|escape:'html'}%"></div>
      </div>
      {foreach ['start' => 'Start', 'stop' => 'Stop', 'reboot' => 'Reboot'] as $verb => $label}
        <form method="post" action="clientarea.php?action=productdetails" style="display:inline">
          <input type="hidden" name="token" value="{$token|escape:'html'}">
          <input type="hidden" name="id" value="{$vmline.serviceid|escape:'html'}">
          <input type="hidden" name="modop" value="custom">
          <input type="hidden" name="a" value="Customer{$label|escape:'html'}">
          <button type="submit" class="btn btn-default" data-verb="{$verb|escape:'html'}" {if !$vmline.buttons.$verb}disabled{/if}>{$label|escape:'html'}</button>
        </form>
      {/foreach}
      {if $vmline.reverse}
        <hr>
        <form method="post" action="clientarea.php?action=productdetails">
          <input type="hidden" name="token" value="{$token|escape:'html'}">
          <input type="hidden" name="id" value="{$vmline.serviceid|escape:'html'}">
          <input type="hidden" name="modop" value="custom">
          <input type="hidden" name="a" value="CustomerReverseDns">
          <label>Reverse DNS name <input type="text" name="ptr_name" class="form-control" maxlength="253" value="{$vmline.reverse|escape:'html'}"></label>
          <button type="submit" class="btn btn-default" data-verb="reverse" {if !$vmline.buttons.reverse}disabled{/if}>Change</button>
          <small>The name must lead to one of the machine's addresses first. Empty: the machine's own name.</small>
        </form>
      {/if}
      <hr>
      <form method="post" action="clientarea.php?action=productdetails">
        <input type="hidden" name="token" value="{$token|escape:'html'}">
        <input type="hidden" name="id" value="{$vmline.serviceid|escape:'html'}">
        <input type="hidden" name="modop" value="custom">
        <input type="hidden" name="a" value="CustomerReinstall">
        <select name="template" class="form-control">
          <option value="">The present system</option>
          {foreach $vmline.templates as $template}<option value="{$template|escape:'html'}">{$template|escape:'html'}</option>{/foreach}
        </select>
        <label><input type="checkbox" name="confirm" value="reinstall" required> Delete everything on the machine and install it anew</label>
        <button type="submit" class="btn btn-danger" data-verb="reinstall" {if !$vmline.buttons.reinstall}disabled{/if}>Reinstall</button>
      </form>
    {/if}
  </div>
</div>
<script src="modules/servers/vmline/templates/overview.js"></script>
